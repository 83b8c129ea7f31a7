"""Limits of one request, in every format."""

from __future__ import annotations

import pytest

import exporter.payloads.limits
from exporter.formats.raw import JSON_TYPE
from tests.support.documents import refuse
from tests.support.wire import (
    FORMATS,
    QUERY,
    Predictions,
    decode,
    encode,
    type_of,
)


@pytest.mark.parametrize(
    ("form", "where"),
    [
        ("rows", "predictions[0].features"),
        ("columns", "columns.features"),
        ("split", "dataframe_split.columns"),
        ("records", "dataframe_records[0]"),
        ("inputs", "inputs"),
        ("arrow", "schema"),
        ("nested arrow", "schema.features"),
        ("parquet", "schema"),
    ],
)
def test_columns_without_end_are_refused(monkeypatch: pytest.MonkeyPatch, form: str, where: str) -> None:
    monkeypatch.setattr(exporter.payloads.limits, "MAX_COLUMNS", 999)  # of ten thousand pyarrow takes seconds
    body = encode(form, Predictions({f"x{k}": [1] for k in range(1000)}, [1]))

    assert refuse(body, type_of(form)) == (422, where)


@pytest.mark.parametrize("form", FORMATS)
def test_more_columns_than_are_monitored_and_long_names_are_taken(form: str) -> None:
    """A reference may have them, which monitors the others."""
    names = [*(f"x{k}" for k in range(700)), "y" * 257]

    body = encode(form, Predictions({name: [1] for name in names}, [1]))

    query = QUERY if type_of(form) != JSON_TYPE else {}
    assert decode(body, content_type=type_of(form), **query).features.keys() == {*names}


@pytest.mark.parametrize("form", FORMATS)
def test_more_rows_than_are_taken_at_once_are_too_large(form: str) -> None:
    body = encode(form, Predictions({"x": [1, 2, 3]}, [1, 1, 1]))
    content_type = type_of(form)

    assert refuse(body, content_type, max_rows_per_request=2)[0] == 413
