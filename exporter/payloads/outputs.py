"""Named outputs of a model server -> predictions and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.errors import MalformedError
from exporter.payloads.answers import PREDICTION_NAMES, SCORE_NAMES, read_predictions
from exporter.payloads.columns import AnswerColumns

# Of MLServer, of models that were converted to ONNX, and of Triton's FIL backend, before the first one.
_PREDICTION_NAMES = ("predict", "output_label", *PREDICTION_NAMES)
_SCORE_NAMES = ("output_probability", *SCORE_NAMES)


@dataclass(frozen=True)
class OutputNames:
    """Names of the outputs with predictions and with scores; empty where they are to be found."""

    prediction: str = ""
    score: str = ""


ANY_NAMES = OutputNames()


def choose_outputs(
    outputs: Mapping[str, list[Any]], rows: int, names: OutputNames, classes: Sequence[str] = ()
) -> AnswerColumns:
    """Predictions and scores among outputs, each (rows,) values or lists of values.

    Unless they are named, the score is the first output with a usual name for scores, and the prediction the
    first with a usual name, or else the first of the others. Without a prediction, probabilities of classes
    give the most likely class, and single scores are both.

    Args:
        outputs: by name, not empty.
        rows: number of rows of the request.
        names: of outputs, by configuration.
        classes: names of the model's classes, in the order of its probabilities.

    Raises:
        MalformedError: there is no output with such a name, or there are more or fewer rows.
    """
    for name in (names.prediction, names.score):
        if name and name not in outputs:
            shown = ", ".join(each[:100] for each in list(outputs)[:10])
            raise MalformedError(f"no output is called {name!r}; there are: {shown}", "outputs")
    for name, values in outputs.items():
        if len(values) != rows:
            raise MalformedError(f"{len(values)} rows, the request has {rows}", f"outputs.{name[:100]}")
    score = names.score or _first_of(_SCORE_NAMES, [each for each in outputs if each != names.prediction])
    others = [each for each in outputs if each != score]
    prediction = names.prediction or _first_of(_PREDICTION_NAMES, others) or next(iter(others), "")
    if not prediction:
        answer = read_predictions(outputs[score], rows, classes)
        return answer if answer.score is not None else AnswerColumns(answer.prediction, answer.prediction)
    answer = read_predictions(outputs[prediction], rows, classes)
    return AnswerColumns(answer.prediction, outputs[score]) if score else answer


def _first_of(usual: Sequence[str], names: Sequence[str]) -> str:
    by_lower = {name.lower(): name for name in reversed(names)}
    return next((by_lower[name] for name in usual if name in by_lower), "")
