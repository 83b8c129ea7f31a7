"""V1 of the inference protocol, as KServe and TensorFlow Serving speak it -> columns.

    {"instances": [{"age": 41, "city": "Rome"}, {"age": 27, "city": "Oslo"}]}   {"predictions": [0, 1]}
    {"instances": [[5.1, 3.5], [6.2, 2.9]]}                          {"predictions": [[0.9, 0.1], [0.2, 0.8]]}
    {"inputs": {"age": [41, 27], "city": ["Rome", "Oslo"]}}                     {"outputs": [0, 1]}

Instances and predictions belong together by position. The requests are also forms of MLflow's scoring server.
https://www.tensorflow.org/tfx/serving/api_rest, https://kserve.github.io/website (V1 protocol)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exporter.errors import MalformedError
from exporter.payloads.columns import AnswerColumns, RequestColumns, rows_of_records
from exporter.payloads.invocations import read_invocation
from exporter.payloads.outputs import ANY_NAMES, OutputNames, choose_outputs
from exporter.payloads.tensors import spread_columns
from exporter.settings import Settings


def read_request(document: Mapping[str, Any], settings: Settings) -> RequestColumns:
    """Features of a request; where each row has a list of the same length, each place is a column.

    Raises:
        MalformedError: no instances, or rows that cannot be read.
        TooLargeError: too many rows or values.
    """
    found = read_invocation(document, settings)
    if found.positional or not any(type(values[0]) is list for values in found.features.values()):
        return found
    tensors = {name: _columns(values) for name, values in found.features.items()}
    return spread_columns(found.rows, tensors, settings)


def read_response(
    document: Mapping[str, Any], rows: int, names: OutputNames = ANY_NAMES, classes: Sequence[str] = ()
) -> AnswerColumns:
    """Predictions and scores of an answer to `rows` rows; `names` and `classes` as in `choose_outputs`.

    Raises:
        MalformedError: no predictions, more or fewer rows, or no output of a name.
    """
    key = "predictions" if "predictions" in document else "outputs"
    found = document.get(key)
    if isinstance(found, dict) and all(isinstance(values, list) for values in found.values()) and found:
        return choose_outputs(found, rows, names, classes)
    if isinstance(found, list) and found and all(isinstance(row, dict) and row for row in found):
        return choose_outputs(rows_of_records(found), rows, names, classes)
    if not isinstance(found, list) or len(found) != rows:
        raise MalformedError(f"must be a list of {rows} predictions", key)
    return choose_outputs({key: found}, rows, names, classes)


def _columns(values: list[Any]) -> list[list[Any]]:
    """(width,) columns of rows of lists of one length; other values are one column."""
    lengths = {len(value) if type(value) is list else -1 for value in values}
    if len(lengths) > 1 or lengths & {-1, 0}:
        return [values]
    return [*map(list, zip(*values, strict=True))]
