"""V1 of the inference protocol."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.errors import MalformedError, TooLargeError
from exporter.payloads.columns import AnswerColumns
from exporter.payloads.inference_v1 import read_request, read_response
from exporter.payloads.outputs import OutputNames
from exporter.settings import Settings

SETTINGS = Settings()


@pytest.mark.parametrize(
    ("document", "features", "positional"),
    [
        pytest.param(
            {"instances": [{"age": 41, "city": "Rome"}, {"age": 27}]},
            {"age": [41, 27], "city": ["Rome", None]},
            False,
            id="objects",
        ),
        pytest.param({"instances": [[1, 2], [3, 4]]}, {"0": [1, 3], "1": [2, 4]}, True, id="lists"),
        pytest.param({"instances": [1.5, 2.5]}, {"0": [1.5, 2.5]}, True, id="values"),
        pytest.param({"inputs": {"age": [41, 27]}}, {"age": [41, 27]}, False, id="columns"),
        pytest.param({"inputs": [[1, 2]]}, {"0": [1], "1": [2]}, True, id="inputs"),
        pytest.param(
            {"instances": [{"x": [1, 2]}, {"x": [3, 4]}]},
            {"0": [1, 3], "1": [2, 4]},
            True,
            id="a vector by name",
        ),
        pytest.param(
            {"instances": [{"x": [1, 2], "city": "Rome"}], "signature_name": "serving_default"},
            {"x_0": [1], "x_1": [2], "city": ["Rome"]},
            True,
            id="a vector and a value",
        ),
        pytest.param(
            {"instances": [{"x": [1, 2]}, {"x": [3]}]}, {"x": [[1, 2], [3]]}, False, id="vectors that differ"
        ),
    ],
)
def test_instances_become_columns(document: Any, features: dict[str, Any], positional: bool) -> None:
    found = read_request(document, SETTINGS)
    assert (found.features, found.positional) == (features, positional)
    assert {len(values) for values in found.features.values()} == {found.rows}


@pytest.mark.parametrize(
    ("document", "names", "expected"),
    [
        pytest.param({"predictions": [0, 1]}, OutputNames(), AnswerColumns([0, 1]), id="values"),
        pytest.param({"outputs": [0, 1]}, OutputNames(), AnswerColumns([0, 1]), id="outputs"),
        pytest.param({"predictions": [[0.5], [1.5]]}, OutputNames(), AnswerColumns([0.5, 1.5]), id="width 1"),
        pytest.param(
            {"predictions": [[0.9, 0.1], [0.2, 0.8]]},
            OutputNames(),
            AnswerColumns(["no", "yes"], [[0.9, 0.1], [0.2, 0.8]]),
            id="probabilities",
        ),
        pytest.param(
            {"predictions": [{"label": "no", "score": 0.1}, {"label": "yes", "score": 0.8}]},
            OutputNames(),
            AnswerColumns(["no", "yes"], [0.1, 0.8]),
            id="objects",
        ),
        pytest.param(
            {"predictions": [{"a": "no", "b": 0.1, "c": 7}, {"a": "yes", "b": 0.8, "c": 7}]},
            OutputNames(prediction="a", score="b"),
            AnswerColumns(["no", "yes"], [0.1, 0.8]),
            id="named",
        ),
        pytest.param(
            {"outputs": {"class": ["no", "yes"], "probabilities": [[0.9, 0.1], [0.2, 0.8]]}},
            OutputNames(),
            AnswerColumns(["no", "yes"], [[0.9, 0.1], [0.2, 0.8]]),
            id="columns",
        ),
    ],
)
def test_answers_become_predictions_and_scores(
    document: Any, names: OutputNames, expected: AnswerColumns
) -> None:
    assert read_response(document, 2, names, ("no", "yes")) == expected


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"instances": []}, id="no rows"),
        pytest.param({"instances": 7}, id="no list"),
        pytest.param({"instances": [[1, 2], [3]]}, id="rows that differ"),
        pytest.param({"instances": [{"a": 1}, 2]}, id="mixed"),
        pytest.param({"inputs": {"a": [1], "b": [1, 2]}}, id="columns that differ"),
        pytest.param({"instances": [[0] * 20_000]}, id="too wide"),
        pytest.param({"instances": [{"x": [0] * 20_000}]}, id="too wide a vector"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused(document: Any) -> None:
    with pytest.raises(MalformedError):
        read_request(document, SETTINGS)


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(TooLargeError):
        read_request({"instances": [[1]] * 11}, Settings(max_rows_per_request=10))


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"predictions": [1]}, id="too few"),
        pytest.param({"predictions": 1}, id="no list"),
        pytest.param({"predictions": None}, id="null"),
        pytest.param({"error": "no"}, id="an error"),
        pytest.param({"predictions": [{"a": 1}]}, id="too few objects"),
        pytest.param({"outputs": {"a": [1, 2], "b": [1]}}, id="columns that differ"),
        pytest.param({"outputs": {}}, id="no columns"),
    ],
)
def test_an_answer_of_other_rows_is_refused(document: Any) -> None:
    with pytest.raises(MalformedError):
        read_response(document, 2)


def test_an_output_that_is_not_there_is_named_beside_those_that_are() -> None:
    with pytest.raises(MalformedError, match="no output is called 'p'; there are: a, b"):
        read_response({"predictions": [{"a": 1, "b": 2}]}, 1, OutputNames("p"))
