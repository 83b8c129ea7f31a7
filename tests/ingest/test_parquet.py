"""Parquet bodies become Arrow streams. One that harms its process is refused, and the next one is read."""

from __future__ import annotations

import pyarrow as pa
import pytest

from exporter.errors import MalformedError, TooLargeError
from exporter.formats.arrow_ipc import read_arrow_stream
from exporter.formats.raw import ARROW_TYPE, PARQUET_TYPE, RawRequest
from exporter.ingest import parquet
from exporter.ingest.parquet import parquet_to_arrow
from exporter.isolation import Children
from exporter.settings import Settings
from tests.support.hostile import make_explosive_parquet, make_nested_parquet
from tests.support.wire import QUERY, to_parquet

SMALL = Settings(max_body_bytes=2**20)
TABLE = pa.table({"x": ["a", None, "b"], "prediction": [0, 1, 1]})


def convert(body: bytes, settings: Settings = SMALL) -> RawRequest:
    return parquet_to_arrow(RawRequest(PARQUET_TYPE, QUERY, body), settings)


def test_a_body_becomes_an_arrow_stream() -> None:
    body = to_parquet(TABLE)
    raw = convert(body)
    assert (raw.content_type, raw.query, raw.sent) == (ARROW_TYPE, QUERY, body)
    assert read_arrow_stream(raw.body, SMALL).to_pydict() == TABLE.to_pydict()


def test_names_of_pandas_index_survive() -> None:
    table = TABLE.replace_schema_metadata({"pandas": "{}"})
    assert read_arrow_stream(convert(to_parquet(table)).body, SMALL).schema.metadata[b"pandas"] == b"{}"


def test_nested_dictionaries_of_several_row_groups_arrive() -> None:
    array = pa.array([{"x": [f"word {k}"]} for k in range(9)])
    body = to_parquet(pa.table({"features": array, "prediction": [1] * 9}), row_group_size=2)
    assert read_arrow_stream(convert(body).body, SMALL)["features"].to_pylist() == array.to_pylist()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (make_explosive_parquet(400), r"^the body cannot be read as Parquet: it takes more than 280 MB of"),
        (
            make_nested_parquet(),
            r"^the body cannot be read as Parquet: its process ended with SIG|^not Parquet",
        ),
        (b"PAR1" + bytes(100) + b"PAR1", "^not Parquet: "),
        (to_parquet(TABLE.slice(0, 0)), "^no rows$"),
    ],
    ids=["explosive", "nested", "damaged", "empty"],
)
def test_a_body_that_cannot_be_read_is_refused_and_the_next_one_is_read(body: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        convert(body)
    assert convert(to_parquet(TABLE)).content_type == ARROW_TYPE


def test_what_it_unpacks_to_is_bounded() -> None:
    with pytest.raises(TooLargeError, match=r"unpacks to \d+ bytes, at most 8388608 are taken"):
        convert(make_explosive_parquet(20))
    with pytest.raises(TooLargeError, match="3 rows, at most 2"):
        convert(to_parquet(TABLE), Settings(max_rows_per_request=2))


def test_a_body_that_stalls_its_reader_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = Children(1, [], 2**28, seconds=0.01, answer_bytes=2**20)
    monkeypatch.setattr(parquet, "_children", lambda _: impatient)
    with pytest.raises(MalformedError, match=r"^the body cannot be read as Parquet: it takes longer than"):
        convert(to_parquet(TABLE))
