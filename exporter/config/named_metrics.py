"""Presets, metrics and descriptors of Evidently, as the configuration file names them.

metrics:
  - DataDriftPreset
  - ValueDrift: {column: amount, method: wasserstein, threshold: 0.2}
descriptors:
  - TextLength: {column: comment}
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from exporter.config.section import Section

MAX_NAMED = 50
MAX_PARTS = 1000  # of an entry's arguments, nested ones included
_CLASS = r"^[A-Za-z][A-Za-z0-9]{0,99}$"


def _parts(value: object) -> int:
    """Number of values in a value, counted up to `MAX_PARTS`: aliases of YAML can make it exponential."""
    parts, rest = 0, [value]
    while rest and parts <= MAX_PARTS:
        parts += 1
        each = rest.pop()
        rest += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return parts


class NamedMetric(Section):
    """Class of Evidently, with its arguments as they are written: texts, lists and mappings."""

    name: Annotated[str, StringConstraints(pattern=_CLASS)]
    arguments: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _read(cls, written: object) -> object:
        if isinstance(written, str):
            return {"name": written}
        if isinstance(written, dict) and "name" in written:
            return written  # its fields
        if not isinstance(written, dict) or len(written) != 1:
            raise ValueError("has to be a name, or a mapping of one name to its arguments")
        ((name, arguments),) = written.items()
        if arguments != "" and not isinstance(arguments, dict):
            raise ValueError(f"the arguments of {name} have to be a mapping of their names to values")
        return {"name": name, "arguments": arguments or {}}


def _bounded(named: tuple[NamedMetric, ...]) -> tuple[NamedMetric, ...]:
    for each in named:
        if _parts(each.arguments) > MAX_PARTS:
            raise ValueError(f"the arguments of {each.name} have more than {MAX_PARTS} parts")
    return named


NamedMetrics = Annotated[tuple[NamedMetric, ...], Field(max_length=MAX_NAMED), AfterValidator(_bounded)]
