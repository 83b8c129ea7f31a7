"""Attributions of a model's features: the mean change of its score when one column is permuted.

It takes no labels. A feature that the model does not look at changes nothing; one on which its answers depend
changes them as much as its values differ. Imported in the confined child only: loading a model runs its code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from exporter.errors import ImportanceError
from exporter.formats.texts import first_line
from exporter.sampling.rows import FEATURE_PREFIX

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 1000

Answer = Callable[["pd.DataFrame"], npt.NDArray[Any]]


def attributions(
    model: str, features: Sequence[str], reference: bytes, live: Sequence[bytes], seed: int, classify: bool
) -> bytes:
    """Mean absolute change of the score when one feature is permuted, as JSON by feature.

    Args:
        model: the model's directory.
        features: the features of the reference.
        reference: its rows as Parquet, at most `MAX_ROWS` of which are taken.
        live: rows as JSON; if there are any, they are permuted instead of the reference's, whose types they
            take.
        seed: of the choice of rows and of the permutations: the same rows give the same figures.
        classify: answers that are not probabilities are classes, and change or not.

    Raises:
        ImportanceError: the model cannot be loaded, does not answer, or lacks columns.
    """
    random = np.random.default_rng(seed)
    frame = _reference_rows(reference, features, random)
    answer = _load(model, list(frame.columns), classify=classify)
    if live:
        frame = _live_rows(live, frame)
    try:
        before = answer(frame)
        changes = {}
        for name in frame.columns:
            permuted = frame[name].to_numpy()[random.permutation(len(frame))]
            after = answer(frame.assign(**{name: permuted}).astype({name: frame[name].dtype}))
            changes[name] = _mean_change(before, after)
    except ImportanceError:
        raise
    except Exception as error:  # whatever a model raises
        raise ImportanceError(f"the model does not answer: {_told(error)}") from error
    return json.dumps(changes).encode()


# -- rows ---------------------------------------------------------------------------------------------------


def _reference_rows(content: bytes, features: Sequence[str], random: np.random.Generator) -> pd.DataFrame:
    file = pq.ParquetFile(BytesIO(content))
    kept = [name for name in features if FEATURE_PREFIX + name in file.schema_arrow.names]
    table = file.read([FEATURE_PREFIX + name for name in kept]).rename_columns(kept)
    chosen = np.sort(random.permutation(table.num_rows)[:MAX_ROWS])
    texts = [pa.types.is_dictionary(column.type) for column in table.schema]
    named = zip(kept, table.take(chosen).columns, texts, strict=True)
    rows: pd.DataFrame = pa.table({n: c.cast(pa.string()) if text else c for n, c, text in named}).to_pandas()
    return rows


def _live_rows(contents: Sequence[bytes], reference: pd.DataFrame) -> pd.DataFrame:
    """Rows with the columns and types of the reference; values of another type are missing."""
    import pandas as pd

    rows = [json.loads(content).get("features", {}) for content in contents[:MAX_ROWS]]
    columns = {
        name: _typed(pd.Series([row.get(name) for row in rows], dtype=object), reference[name])
        for name in reference.columns
    }
    return pd.DataFrame(columns)


def _typed(values: pd.Series, like: pd.Series) -> pd.Series:
    import pandas as pd

    if pd.api.types.is_bool_dtype(like):
        flags = values.map(lambda value: bool(value) if isinstance(value, int) else None)
        return flags.astype(object if flags.isna().any() else bool)
    if pd.api.types.is_numeric_dtype(like):
        numbers = pd.to_numeric(values, errors="coerce")
        whole = numbers.isna().any() and not pd.api.types.is_float_dtype(like)
        return numbers.astype("float64" if whole else like.dtype)
    if pd.api.types.is_datetime64_any_dtype(like):
        times = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
        return times if like.dt.tz is not None else times.dt.tz_localize(None)
    return values.map(lambda value: None if value is None else str(value))


# -- the model ----------------------------------------------------------------------------------------------


def _load(model: str, columns: list[str], *, classify: bool) -> Answer:
    """Answers of a model: its probabilities if it has any, else its predictions, classes as texts."""
    try:
        from mlflow import pyfunc

        loaded = pyfunc.load_model(model)
        schema = loaded.metadata.get_input_schema()
    except Exception as error:
        raise ImportanceError(f"the model cannot be loaded: {_told(error)}") from error
    named = schema is not None and schema.has_input_names()
    inputs = [str(name) for name in schema.input_names()] if named else columns
    if lacking := sorted(set(inputs) - set(columns)):
        names = ", ".join(lacking[:10])
        raise ImportanceError(f"the model takes {names}, which the kept rows of the reference do not have")
    probabilities = _probabilities(loaded)
    if probabilities is not None:
        return lambda frame: np.asarray(probabilities(frame[inputs]), np.float64)
    types = dict(zip(inputs, schema.numpy_types(), strict=True)) if named else {}
    dtype = np.str_ if classify else np.float64
    return lambda frame: np.asarray(loaded.predict(_as_logged(frame[inputs], types))).astype(dtype)


def _as_logged(frame: pd.DataFrame, types: Mapping[str, Any]) -> pd.DataFrame:
    """Rows with the widths of numbers that the model's signature asks for, as far as values are not lost."""
    narrow = {
        name: wanted
        for name, wanted in types.items()
        if np.dtype(wanted).kind in "if" and frame[name].dtype.kind == np.dtype(wanted).kind
    }
    return frame.astype(narrow)


def _probabilities(loaded: Any) -> Callable[[pd.DataFrame], Any] | None:
    try:
        return getattr(loaded.get_raw_model(), "predict_proba", None)
    except Exception:  # noqa: BLE001 - a flavor without a model inside
        return None


def _mean_change(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> float:
    """Mean over the rows of the change of an answer; classes change by 1."""
    if before.shape != after.shape or not len(before):
        raise ImportanceError("the model does not give an answer for each row")
    rows = len(before)
    if before.dtype.kind == "U":
        return float((before != after).reshape(rows, -1).any(axis=1).mean())
    change = np.abs(after - before).reshape(rows, -1).sum(axis=1)
    known = change[np.isfinite(change)]
    return float(known.mean()) if len(known) else 0.0


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"[:300]
