"""Events as KServe's agent makes them (`pkg/logger/worker.go`, CloudEvents' Go SDK)."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

import numpy as np

Kind = Literal["request", "response"]

_BF16_SHIFT = 16


def rfc3339(seconds: float) -> str:
    """A time as Go's `time.RFC3339Nano` in UTC writes it."""
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text}000".rstrip("0").rstrip(".") + "Z"


@dataclass(frozen=True)
class Agent:
    """The agent of one pod of an inference service."""

    service: str = "fraud"
    namespace: str = "shop"
    endpoint: str = "default"
    component: str = "predictor"
    pod: str = "fraud-predictor-00001-deployment-5d8f9c7b6-x2x7w"
    annotations: Mapping[str, str] = field(default_factory=dict)
    records_time: bool = True  # newer releases say when the half passed

    def headers(
        self, kind: Kind, event_id: str, at: float, content_type: str = "application/json"
    ) -> dict[str, str]:
        headers = {
            "ce-specversion": "1.0",
            "ce-id": event_id,
            "ce-source": self.pod,
            "ce-type": f"org.kubeflow.serving.inference.{kind}",
            "ce-time": rfc3339(at),
            "ce-inferenceservicename": self.service,
            "ce-namespace": self.namespace,
            "ce-component": self.component,
            "ce-endpoint": self.endpoint,
            "ce-metadata": "{}",
            "content-type": content_type,
            "user-agent": "Go-http-client/1.1",
        }
        if self.records_time:
            headers["ce-recordedtime"] = rfc3339(at + 0.001)
        if self.annotations:
            headers["ce-annotations"] = json.dumps(dict(self.annotations))
        return headers


def new_id() -> str:
    return str(uuid4())


def v1_request(rows: Sequence[Any]) -> bytes:
    return json.dumps({"instances": list(rows)}).encode()


def v1_response(predictions: Sequence[Any]) -> bytes:
    return json.dumps({"predictions": list(predictions)}).encode()


def v2_tensor(
    name: str, datatype: str, shape: Sequence[int], data: Sequence[Any], **parameters: Any
) -> dict[str, Any]:
    tensor = {"name": name, "shape": list(shape), "datatype": datatype, "data": list(data)}
    return tensor | ({"parameters": parameters} if parameters else {})


def v2_request(*tensors: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"id": new_id(), "inputs": list(tensors), **more}).encode()


def v2_response(*tensors: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"model_name": "fraud", "id": new_id(), "outputs": list(tensors), **more}).encode()


def with_binary(document: bytes, key: Literal["inputs", "outputs"]) -> bytes:
    """The same body with its tensors behind the JSON, as KServe's `InferRequest.to_rest` writes them."""
    content = json.loads(document)
    behind = []
    for tensor in content[key]:
        data = serialize(tensor.pop("data"), tensor["datatype"])
        tensor.setdefault("parameters", {})["binary_data_size"] = len(data)
        behind.append(data)
    return json.dumps(content).encode() + b"".join(behind)


def serialize(values: Sequence[Any], datatype: str) -> bytes:
    """Values of a binary tensor: little-endian, each element of BYTES behind its length in 4 bytes."""
    if datatype == "BYTES":
        encoded = [value if isinstance(value, bytes) else str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(each)) + each for each in encoded)
    if datatype == "BF16":  # the upper half of a FP32, cut
        return (np.array(values, "<f4").view("<u4") >> _BF16_SHIFT).astype("<u2").tobytes()
    kinds = {"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64"}
    return np.array(values, np.dtype(kinds.get(datatype, datatype.lower())).newbyteorder("<")).tobytes()
