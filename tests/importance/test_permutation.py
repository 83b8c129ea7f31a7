"""Attributions by permutation, of a model that scikit-learn fitted and MLflow saved."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.errors import ImportanceError
from exporter.importance.permutation import attributions

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of MLflow, about its own type hints
ROWS = 1500
FEATURES = ("amount", "country", "night", "unused")


def make_frame(seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": random.normal(0, 1, ROWS),
            "country": random.choice(["DE", "FR"], ROWS),
            "night": random.random(ROWS) < 0.5,
            "unused": random.integers(0, 100, ROWS),
        }
    )


def parquet(frame: pd.DataFrame) -> bytes:
    """Reference rows, as they are kept: texts as dictionaries."""
    table = pa.Table.from_pandas(frame.add_prefix("features."), preserve_index=False)
    country = table.column_names.index("features.country")
    table = table.set_column(country, "features.country", table.column(country).dictionary_encode())
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def contents(frame: pd.DataFrame) -> list[bytes]:
    """Live rows, as they are sampled: no missing values, integers for whole numbers and booleans."""
    rows = [{k: v for k, v in row.items() if v == v} for row in frame.to_dict("records")]
    return [
        json.dumps({"features": {k: int(v) if isinstance(v, bool) else v for k, v in row.items()}}).encode()
        for row in rows
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Logit(p) = 2 amount + (country is DE): the amount moves the score more, `unused` never does."""
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = make_frame(1)
    truth = (
        2 * frame["amount"] + (frame["country"] == "DE") + np.random.default_rng(2).logistic(size=ROWS) > 0
    )
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["country"]), ("passthrough", ["amount", "night"])
    )
    fitted = make_pipeline(encode, LogisticRegression()).fit(frame, truth.astype(int))
    path = str(tmp_path_factory.mktemp("models") / "model")
    mlflow.sklearn.save_model(
        fitted,
        path,
        signature=infer_signature(frame, truth.astype(int).to_numpy()),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
    return path


def shares(model: str, live: list[bytes] | None = None, **changes: Any) -> dict[str, float]:
    given = {"features": FEATURES, "reference": parquet(make_frame()), "seed": 7, "classify": True, **changes}
    found = json.loads(attributions(model, live=live or [], **given))
    total = sum(found.values())
    return {name: value / total for name, value in found.items()}


def test_features_are_attributed_what_the_score_changes_with_them(model: str) -> None:
    found = shares(model)
    assert list(found) == list(FEATURES)
    assert found["amount"] == pytest.approx(0.82, abs=0.05)
    assert found["country"] == pytest.approx(0.16, abs=0.05)
    assert found["unused"] == 0.0


def test_the_same_rows_give_the_same_figures(model: str) -> None:
    assert shares(model) == shares(model)


def test_live_rows_like_the_reference_have_its_attributions(model: str) -> None:
    clean, live = shares(model), shares(model, contents(make_frame(3)))
    assert sum(abs(live[name] - clean[name]) for name in FEATURES) / 2 < 0.05


def test_attention_moves_away_from_a_column_that_stands_still(model: str) -> None:
    """All 82 % of it: the ranks of the others stay as they are."""
    clean, live = shares(model), shares(model, contents(make_frame(3).assign(amount=0.0)))
    assert live["amount"] == 0.0
    assert sum(abs(live[name] - clean[name]) for name in FEATURES) / 2 == pytest.approx(clean["amount"])


def test_values_of_another_type_are_missing_values(model: str) -> None:
    """The model answers with rows that have none of their numbers, or says that it cannot."""
    broken = contents(make_frame(3).assign(amount="n/a"))
    with pytest.raises(ImportanceError, match=r"^the model does not answer: ValueError: Input .*NaN"):
        shares(model, broken)


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (
            ("amount", "night"),
            "the model takes country, unused, which the kept rows of the reference",
        ),
        ((), "the model takes amount, country, night, unused, which the kept rows"),
    ],
    ids=["some", "none"],
)
def test_columns_that_were_not_kept_are_named(model: str, features: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ImportanceError, match=f"^{reason}"):
        shares(model, features=features)


def test_what_is_no_model_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ImportanceError, match=r"^the model cannot be loaded: "):
        shares(str(tmp_path))
