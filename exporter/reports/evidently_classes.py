"""Makes presets, metrics and descriptors of Evidently from their names and arguments as text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import yaml
from evidently import descriptors, metrics, presets, tests
from evidently.generators import ColumnMetricGenerator

from exporter.config.named_metrics import NamedMetric
from exporter.errors import ReportError
from exporter.formats.texts import first_line

# Descriptors that call a service or download a model, and those that are made of a function.
_ONLINE = {
    "BERTScore", "BiasLLMEval", "BinaryClassificationLLMEval", "CompletenessLLMEval", "ContextQualityLLMEval",
    "ContextRelevance", "CorrectnessLLMEval", "DeclineLLMEval", "FaithfulnessLLMEval", "HuggingFace",
    "HuggingFaceToxicity", "LLMEval", "LLMJudge", "MulticlassClassificationLLMEval", "NegativityLLMEval",
    "OOVWordsPercentage", "OpenAI", "PIILLMEval", "SemanticSimilarity", "Sentiment", "ToxicityLLMEval",
}  # fmt: skip
_OF_FUNCTIONS = {"CustomColumnDescriptor", "CustomDescriptor"}

METRICS: dict[str, Callable[..., Any]] = {
    **{name: getattr(metrics, name) for name in metrics.__all__},
    **{name: getattr(presets, name) for name in presets.__all__},
    "ColumnMetricGenerator": ColumnMetricGenerator,
}
DESCRIPTORS: dict[str, Callable[..., Any]] = {
    name: getattr(descriptors, name) for name in descriptors.__all__ if name not in _ONLINE | _OF_FUNCTIONS
}


def make_metric(named: NamedMetric, defaults: dict[str, Any] | None = None) -> Any:
    """The preset or metric; `defaults` are arguments that are used if it takes them and none is written.

    Raises:
        ReportError: there is none of this name, or it does not take these arguments.
    """
    return _make(METRICS, named, defaults or {})


def make_descriptor(named: NamedMetric) -> Any:
    """The descriptor.

    Raises:
        ReportError: there is none of this name that needs no network, or it does not take these arguments.
    """
    if str(named.arguments.get("lemmatize", "false")).lower() != "false":
        raise ReportError(f"{named.name} needs a network for lemmatize, so it has to be false")
    return _make(DESCRIPTORS, named, {"lemmatize": False})


def find_mistakes(metrics_: Sequence[NamedMetric], descriptors_: Sequence[NamedMetric]) -> list[str]:
    """Sentences on what is wrong with the names and arguments."""
    found = []
    for make, all_named in ((make_metric, metrics_), (make_descriptor, descriptors_)):
        for named in all_named:
            try:
                make(named)
            except ReportError as error:
                found.append(str(error))
    return found


def parameters(kind: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Parameters of a class or function of Evidently by name; its fields where it takes any keyword."""
    own = dict(inspect.signature(kind).parameters)
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in own.values()):
        fields = {
            name: inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.required else field.default,
            )
            for name, field in getattr(kind, "__fields__", {}).items()
        }
        own = {**fields, **own}
    return {
        name: each
        for name, each in own.items()
        if name not in ("type", "metric_type_alias") and each.kind is not inspect.Parameter.VAR_KEYWORD
    }


def _make(known: dict[str, Callable[..., Any]], named: NamedMetric, defaults: dict[str, Any]) -> Any:
    kind = known.get(named.name)
    if kind is None:
        raise ReportError(_unknown(named.name, known))
    takes = parameters(kind)
    for name in named.arguments:
        if name not in takes:
            similar = get_close_matches(name, takes, n=1, cutoff=0.6)
            hint = f"; did you mean {similar[0]}?" if similar else f"; it has {', '.join(takes) or 'none'}"
            raise ReportError(f"{named.name} has no argument {name}{hint}")
    missing = [
        name
        for name, each in takes.items()
        if each.default is inspect.Parameter.empty and name not in named.arguments and name not in defaults
    ]
    if missing:
        raise ReportError(f"{named.name} needs the argument {' and '.join(missing)}")
    try:
        written = {
            name: _convert(kind, named.name, name, value, takes[name])
            for name, value in named.arguments.items()
        }
        fitting = {name: value for name, value in defaults.items() if name in takes}
        return kind(**{**fitting, **written})
    except ReportError:
        raise
    except Exception as error:
        raise ReportError(f"{named.name} does not take these arguments: {first_line(error)}") from error


def _unknown(name: str, known: dict[str, Callable[..., Any]]) -> str:
    if name in _ONLINE:
        return f"{name} needs a network, so reports do not have it"
    if name in _OF_FUNCTIONS:
        return f"{name} is made of a function, which cannot be configured"
    similar = get_close_matches(name, known, n=1, cutoff=0.6)
    kind = "descriptor" if known is DESCRIPTORS else "preset or metric"
    other = METRICS if known is DESCRIPTORS else DESCRIPTORS
    if name in other:
        return f"{name} is no {kind}: put it below {'metrics' if known is DESCRIPTORS else 'descriptors'}"
    return f"Evidently has no {kind} {name}" + (f"; did you mean {similar[0]}?" if similar else "")


def _convert(
    kind: Callable[..., Any], owner: str, name: str, value: Any, parameter: inspect.Parameter
) -> Any:
    """The argument in its type; texts become what the class's field says."""
    if name == "metric_type":
        return _class_named(str(value))
    if name == "metric":
        return make_metric(NamedMetric.model_validate(value))
    if name.endswith("tests") and value != "":
        return _tests(owner, value)
    if name == "condition":
        return _test(owner, value)
    field = getattr(kind, "__fields__", {}).get(name)
    if field is None:
        return _scalars(value) if "str" not in str(parameter.annotation).lower() else value
    converted, error = field.validate(value, {}, loc=name)
    if error:
        raise ReportError(f"{owner} cannot have {value!r} as {name}")
    return converted


def _class_named(name: str) -> Callable[..., Any]:
    if name not in METRICS:
        raise ReportError(_unknown(name, METRICS))
    return METRICS[name]


def _tests(owner: str, written: Any) -> Any:
    """Tests from `[{lt: 0.2}]`, or by label from `{DE: [{lt: 0.2}]}`."""
    if isinstance(written, dict):
        return {label: _tests(owner, each) for label, each in written.items()}
    if not isinstance(written, list):
        raise ReportError(f"the tests of {owner} have to be a list such as [{{lt: 0.2}}]")
    return [_test(owner, each) for each in written]


def _test(owner: str, written: Any) -> Any:
    names = [name for name in tests.__all__ if name != "Reference"]
    if not isinstance(written, dict) or len(written) != 1 or next(iter(written)) not in names:
        raise ReportError(f"a test of {owner} has to be one of {', '.join(names)}, such as {{lt: 0.2}}")
    ((name, bound),) = written.items()
    return getattr(tests, name)(_scalars(bound))


def _scalars(value: Any) -> Any:
    """The value with its texts read as YAML reads them: numbers, booleans, null, else texts."""
    if isinstance(value, list):
        return [_scalars(each) for each in value]
    if isinstance(value, dict):
        return {name: _scalars(each) for name, each in value.items()}
    if not isinstance(value, str):
        return value
    read = yaml.safe_load(value) if value.strip() and value.isprintable() else value
    return read if isinstance(read, bool | int | float | None) else value
