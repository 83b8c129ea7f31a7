"""Bodies of exchanges as rows."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pyarrow as pa
import pytest

from exporter.aggregates.state import VersionCounts
from exporter.capture.events import Event, Half
from exporter.capture.exchanges import read_exchange, read_unanswered
from exporter.capture.services import Route
from exporter.capture.waiting import Exchange
from exporter.errors import MalformedError, RequestError, TooLargeError, UnavailableError
from exporter.fleet import Live, Version
from exporter.formats.batch import Batch
from exporter.formats.predictions import decode_acknowledged
from exporter.payloads.outputs import OutputNames
from exporter.payloads.target import Target
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.settings import Settings
from exporter.storage.schema import StoredVersion
from tests.support.kserve_logger import (
    v1_request,
    v1_response,
    v2_request,
    v2_response,
    v2_tensor,
    with_binary,
)
from tests.support.rig import make_table
from tests.support.traffic import make_timeline

SETTINGS = Settings()
AT, NOW = 1_796_032_800.0, 1_796_032_900.0
TARGET = Target("fraud", "1")
ROW = {"age": 41.0, "country": "DE", "new": True}


def make_version(table: pa.Table | None = None, status: str = "") -> Version:
    version = Version(StoredVersion(1, "fraud", "1", 0, None, status, 0))
    if table is not None:
        reference = build_reference(ReferenceData(table, "test"), SETTINGS.windows, 500)
        version.live = Live(VersionCounts(1, reference, make_timeline(reference, {})))
    return version


@pytest.fixture(scope="module")
def version() -> Version:
    """Its reference has the features age, country and new, in this order, and the classes 0 and 1."""
    return make_version(make_table(300))


def half(kind: Half, body: bytes, **attributes: Any) -> Event:
    at = {"at": AT if kind == "request" else AT + 0.25}
    return Event(kind, "7", "fraud", body=body, **{**at, **attributes})


def read(
    request: bytes, response: bytes, version: Version | None, route: Route | None = None, **attributes: Any
) -> Batch:
    """The batch of an exchange, which is the same as that of the stored document."""
    halves = half("request", request, **attributes), half("response", response, **attributes)
    found = read_exchange(Exchange(*halves, halves[0]), route or Route(TARGET), version, SETTINGS, NOW)
    batch = decode_acknowledged(found.raw.body, found.raw.content_type, found.raw.query, SETTINGS)
    assert batch.rows == found.rows
    assert batch.target == found.decoded.target
    assert batch.ids == found.decoded.ids
    return batch


def lists(batch: Batch) -> dict[str, list[Any]]:
    return {name: list(map(str, _texts(values))) for name, values in batch.features.items()}


def _texts(values: Any) -> Any:
    return values.rows() if hasattr(values, "rows") else values.tolist()


def test_rows_have_ids_times_and_predictions(version: Version) -> None:
    one = read(v1_request([ROW]), v1_response([1]), version)
    assert (one.ids, one.timestamps.tolist(), one.prediction.tolist()) == (["7"], [AT], [1.0])
    assert one.latency is None
    several = read(v1_request([ROW, ROW]), v1_response([1, 0]), version)
    assert (several.ids, several.prediction.tolist()) == (["7/0", "7/1"], [1.0, 0.0])


def test_the_latency_is_known_where_times_are_those_of_the_request(version: Version) -> None:
    found = read(v1_request([ROW]), v1_response([1]), version, measured=True)
    assert found.latency is not None
    assert found.latency.tolist() == [0.25]
    without = read(v1_request([ROW]), v1_response([1]), version, measured=True, at=None)
    assert without.latency is None


def test_without_a_time_of_the_request_it_is_the_responses(version: Version) -> None:
    halves = half("request", v1_request([ROW]), at=None), half("response", v1_response([1]))
    found = read_exchange(Exchange(*halves, halves[0]), Route(TARGET), version, SETTINGS, NOW)
    assert found.decoded.timestamps == [AT + 0.25]


def test_a_column_may_have_the_ids(version: Version) -> None:
    rows = [{**ROW, "order": "a"}, {**ROW, "order": None}, {**ROW, "order": 12}]
    found = read(v1_request(rows), v1_response([1, 0, 1]), version, Route(TARGET, id_column="order"))
    assert found.ids == ["a", "7/1", "12"]
    assert sorted(found.features) == ["age", "country", "new"]
    without = read(v1_request([ROW]), v1_response([1]), version, Route(TARGET, id_column="order"))
    assert without.ids == ["7"]


NUMBERS = pa.table({"a": [1.0, 2.0] * 50, "b": [1.0, 3.0] * 50, "prediction": [0, 1] * 50})


@pytest.fixture(scope="module")
def numeric() -> Version:
    return make_version(NUMBERS)


@pytest.mark.parametrize(
    "request_body",
    [
        pytest.param(v1_request([[1.5, 2.5]]), id="V1"),
        pytest.param(v2_request(v2_tensor("input-0", "FP64", [1, 2], [1.5, 2.5])), id="one tensor"),
        pytest.param(
            v2_request(v2_tensor("input-0", "FP64", [1], [1.5]), v2_tensor("input-1", "FP64", [1, 1], [2.5])),
            id="several tensors",
        ),
        pytest.param(
            with_binary(v2_request(v2_tensor("x", "FP32", [1, 2], [1.5, 2.5])), "inputs"), id="binary"
        ),
        pytest.param(gzip.compress(v1_request([[1.5, 2.5]])), id="gzip"),
        pytest.param(zlib.compress(v1_request([[1.5, 2.5]])), id="deflate"),
    ],
)
def test_columns_without_names_have_those_of_the_reference(numeric: Version, request_body: bytes) -> None:
    assert lists(read(request_body, v1_response([1]), numeric)) == {"a": ["1.5"], "b": ["2.5"]}


def test_configured_names_come_before_the_references(numeric: Version) -> None:
    found = read(
        v1_request([[1.5, 2.5, 7]]), v1_response([1]), numeric, Route(TARGET, columns=("a", "c", "b"))
    )
    assert lists(found) == {"a": ["1.5"], "c": ["2.5"], "b": ["7.0"]}


def test_names_that_mean_something_stay(numeric: Version) -> None:
    found = read(v1_request([{"amount": 1.5, "hour": 2.5}]), v1_response([1]), numeric)
    assert sorted(found.features) == ["amount", "hour"]


def test_numbers_stay_names_where_the_reference_has_them() -> None:
    version = make_version(pa.table({"0": [1.0, 2.0] * 50, "1": [1.0, 3.0] * 50, "prediction": [0, 1] * 50}))
    assert lists(read(v1_request([[1.5, 2.5]]), v1_response([1]), version)) == {"0": ["1.5"], "1": ["2.5"]}


def test_another_number_of_columns_is_refused(numeric: Version) -> None:
    with pytest.raises(MalformedError, match="3 columns without names, the reference has 2: list them"):
        read(v1_request([[1, 2, 3]]), v1_response([1]), numeric)
    with pytest.raises(MalformedError, match="2 columns without names, configured are 1"):
        read(v1_request([[1, 2]]), v1_response([1]), numeric, Route(TARGET, columns=("a",)))


def test_columns_without_names_wait_for_the_reference() -> None:
    with pytest.raises(UnavailableError, match="not loaded yet"):
        read(v1_request([[1, 2]]), v1_response([1]), make_version())
    assert sorted(read(v1_request([ROW]), v1_response([1]), make_version()).features) == [
        "age",
        "country",
        "new",
    ]
    for none in (make_version(status="no reference"), None):
        assert sorted(read(v1_request([[1, 2]]), v1_response([1]), none).features) == ["0", "1"]


def test_probabilities_are_the_score_and_predict(version: Version) -> None:
    found = read(v1_request([ROW] * 2), v1_response([[0.75, 0.25], [0.25, 0.75]]), version)
    assert [str(text) for text in _texts(found.prediction)] in (["0", "1"], ["0.0", "1.0"])
    assert found.scores is not None
    assert [row.values for row in found.scores.several or () if row is not None] == [
        (0.75, 0.25),
        (0.25, 0.75),
    ]


def test_a_single_probability_predicts_the_class_of_the_reference(version: Version) -> None:
    response = v2_response(v2_tensor("probability", "FP32", [3], [0.25, 0.5, None]))
    found = read(v1_request([ROW] * 3), response, version)
    assert [None if text is None else float(text) for text in _texts(found.prediction)] == [0, 1, None]


def test_scores_that_are_no_probabilities_predict_the_highest(version: Version) -> None:
    response = v2_response(v2_tensor("logits", "FP32", [2, 2], [-3.0, 4.0, 5.0, None]))
    found = read(v1_request([ROW] * 2), response, version)
    assert [None if text is None else float(text) for text in _texts(found.prediction)] == [1, None]


def test_lists_that_are_no_scores_are_refused(version: Version) -> None:
    with pytest.raises(MalformedError, match="name the outputs"):
        read(v1_request([ROW]), v1_response([[1.5, 2.5, 3.5]]), version)


def test_outputs_may_be_named(version: Version) -> None:
    response = v1_response([{"a": 1, "b": 0.75}])
    route = Route(TARGET, outputs=OutputNames("a", "b"))
    found = read(v1_request([ROW]), response, version, route)
    assert found.prediction.tolist() == [1.0]
    assert found.scores is not None


def test_an_alias_is_kept(version: Version) -> None:
    found = read(v1_request([ROW]), v1_response([1]), version, Route(Target("fraud", alias="champion")))
    assert found.target == Target("fraud", alias="champion")


def test_a_request_without_a_response_has_rows_without_predictions(version: Version) -> None:
    event = half("request", v1_request([ROW, ROW]))
    found = read_unanswered(event, Route(TARGET), version, SETTINGS, NOW)
    assert (found.rows, found.decoded.prediction, found.decoded.ids) == (2, [None, None], ["7/0", "7/1"])


def test_what_mlflow_calls_an_invocation_is_read_too(version: Version) -> None:
    request = b'{"dataframe_split": {"columns": ["age", "country", "new"], "data": [[41, "DE", true]]}}'
    assert sorted(read(request, v1_response([1]), version).features) == ["age", "country", "new"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(gzip.compress(b" " * 1_000_000), TooLargeError, id="a bomb"),
        pytest.param(gzip.compress(v1_request([ROW]))[:-4], MalformedError, id="truncated"),
        pytest.param(b"\x1f\x8bnot gzip", MalformedError, id="no gzip"),
        pytest.param(b'{"instances": [{"age": "\\ud800"}]}', MalformedError, id="a lone surrogate"),
        pytest.param(v1_request([ROW] * 101), TooLargeError, id="too many rows"),
        pytest.param(b"[]", MalformedError, id="a list"),
        pytest.param(b"\xff", MalformedError, id="no text"),
    ],
)
def test_hostile_bodies_are_refused(version: Version, body: bytes, error: type[RequestError]) -> None:
    settings = Settings(max_body_bytes=100_000, max_rows_per_request=100)
    with pytest.raises(error):
        read_unanswered(half("request", body), Route(TARGET), version, settings, NOW)
