"""Starts the child process that measures attributions, and takes nothing from it but numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from exporter.errors import ImportanceError, IsolationError
from exporter.importance.permutation import attributions
from exporter.isolation import Children
from exporter.reference.profile import Reference

MEMORY_BYTES = 2 * 2**30
SECONDS = 300.0
_ANSWER_BYTES = 2**20
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def measure_attributions(
    model: Path,
    reference: Reference,
    rows: bytes,
    live: Sequence[bytes] = (),
    *,
    seconds: float = SECONDS,
) -> dict[str, float]:
    """Attributions of a model by feature, each at least 0, of which one is above; see `attributions`.

    Args:
        model: its directory, in one of its own that the child may write to.
        reference: the version's.
        rows: the reference's rows, as Parquet.
        live: live rows as JSON, to be measured instead.
        seconds: time limit.

    Raises:
        ImportanceError: there are none; the message says why.
        UnavailableError: no child can be started.
    """
    directory = model.parent
    features = [column.name for column in reference.columns if column.role == "feature"]
    environment = {**_ENVIRONMENT, "HOME": str(directory), "TMPDIR": str(directory)}
    modules = [attributions.__module__]
    seed, classify = int(reference.digest[:8], 16), reference.task in ("binary", "multiclass")
    children = Children(
        1, modules, MEMORY_BYTES, seconds, _ANSWER_BYTES, environment, single_use=True, directory=directory
    )
    try:
        with closing(children):
            answer = children.run(attributions, str(model), features, rows, live, seed, classify)
        found = {str(name): float(value) for name, value in json.loads(answer).items()}
    except IsolationError as error:
        raise ImportanceError(f"the model cannot be run: {error}") from error
    # The model's code may have written the answer, or an error that is none of ours.
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise ImportanceError("the model cannot be run: the answer of its process is unreadable") from error
    if found.keys() - set(features) or not all(0 <= value < math.inf for value in found.values()):
        raise ImportanceError("the model cannot be run: the answer of its process is unreadable")
    if not sum(found.values()) > 0:
        raise ImportanceError("the model's answers do not change with any feature")
    return found
