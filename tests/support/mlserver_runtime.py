"""Run by MLServer: a logistic model, and `bodies.json` with requests that MLServer's codecs make."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from mlserver import MLModel
from mlserver.codecs import (
    Base64Codec,
    DatetimeCodec,
    NumpyCodec,
    NumpyRequestCodec,
    PandasCodec,
    StringCodec,
)
from mlserver.codecs.json import encode_to_json_bytes
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse

FEATURES = 3


def bodies() -> dict[str, str]:
    """Requests by what made them, as MLServer sends them."""
    frame = pd.DataFrame(
        {
            "amount": [12.5, float("nan")],
            "count": np.array([3, 4], np.int32),
            "country": np.array(["DE", "Österreich"], object),
            "new": [True, False],
            "tags": [["a", 1], {"b": 2}],
        }
    ).astype({"country": object})
    moments = [datetime(2026, 11, 30, hour, tzinfo=UTC) for hour in (10, 11)]
    inputs = [
        StringCodec.encode_input("country", ["DE", "FR"]),
        Base64Codec.encode_input("photo", [b"text", b"\xff\xfe"]),
        DatetimeCodec.encode_input("seen", moments),
        NumpyCodec.encode_input("amount", np.array([[0.5], [1.5]], np.float16)),
    ]
    requests = {
        "pandas": PandasCodec.encode_request(frame),
        "numpy": NumpyRequestCodec.encode_request(np.array([[1.5, 2.5], [3.5, 4.5]], np.float32)),
        "inputs": InferenceRequest(inputs=inputs),
    }
    return {name: encode_to_json_bytes(each.model_dump()).decode() for name, each in requests.items()}


class Logistic(MLModel):
    """Classes 0 and 1 by the sum of the first two features."""

    async def load(self) -> bool:
        Path("bodies.json").write_text(json.dumps(bodies()))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        content_type = payload.parameters.content_type if payload.parameters is not None else None
        codec = PandasCodec if content_type == PandasCodec.ContentType else NumpyRequestCodec
        values = np.asarray(codec.decode_request(payload), np.float64)
        if values.shape[1] != FEATURES:
            raise InferenceError(f"{values.shape[1]} features")
        score = 1 / (1 + np.exp(-values[:, 0] - values[:, 1]))
        outputs = [
            NumpyCodec.encode_output("predict", (score > 0.5).astype(np.int64)),
            NumpyCodec.encode_output("predict_proba", np.stack([1 - score, score], axis=1)),
        ]
        return InferenceResponse(model_name=self.name, model_version="v1", id=payload.id, outputs=outputs)
