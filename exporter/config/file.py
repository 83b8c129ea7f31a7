"""Reads the configuration file, `exporter.yml`, and says what is wrong with it, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ValidationError

from exporter.config.calendar import Calendar
from exporter.config.capture import CaptureConfig
from exporter.config.models import ModelsConfig
from exporter.config.remediation import RemediationConfig
from exporter.config.remediation_checks import mistakes
from exporter.config.reports import ReportsConfig
from exporter.config.section import EmptyMapping, describe_error, place
from exporter.errors import ConfigError
from exporter.settings import DAY_SECONDS, Settings

MAX_FILE_BYTES = 2**20

# PyYAML's own messages are about tokens and events. The first pattern that matches applies.
_YAML_PROBLEMS = {
    r"character '\\t'": "a tab; indent with spaces",
    r"found character '(.)'": "a value that begins with {0} has to be in quotes",
    r"mapping values are not allowed": "a second colon; put the value in quotes, or mend the indentation",
    r"unexpected end of stream": "a quote is not closed",
    r"unknown escape character '(.*)'": "\\{0} means nothing in double quotes; use single ones, or \\\\",
    r"undefined alias '(.*)'": "*{0} stands for nothing: no value above is marked with &{0}",
    r"recursive": "a value contains itself",
    r"unhashable key": "a key has to be a single value",
    r"another document": "a second document; only one is taken",
    r"expected '(?:,' or ')?[\]}]'": "a bracket is not closed, or a comma is missing",
    r"expected the node content": "a value is missing, or a bracket is not closed",
    r"expected <block end>": "this line is indented otherwise than those that it belongs to",
    r"could not find expected ':'": "a key without a colon",
    r"alphabetic or numeric": "a value that begins with * or & has to be in quotes",
}


class ConfigFile(ModelsConfig):
    """The configuration file."""

    remediation: Annotated[RemediationConfig, EmptyMapping] = RemediationConfig()
    reports: Annotated[ReportsConfig, EmptyMapping] = ReportsConfig()
    calendar: Annotated[Calendar, EmptyMapping] = Calendar()
    capture: Annotated[CaptureConfig, EmptyMapping] = CaptureConfig()


def maturation_problem(maturation_seconds: float, settings: Settings) -> str:
    """Return why a maturation is too long for these settings; empty if it is not."""
    days, kept = maturation_seconds / DAY_SECONDS, settings.prediction_retention_days
    if days > kept:
        return (
            f"{days:g} days are more than the {kept} for which ids are kept: later labels find no "
            "prediction; EXPORTER_PREDICTION_RETENTION_DAYS has to be more"
        )
    # The window before has to confirm a degradation.
    longest, counted = max(settings.windows), settings.outcome_retention_seconds
    if maturation_seconds > counted - 2 * longest.seconds - settings.coarse_seconds:
        return (
            f"{days:g} days are too long: two windows of {longest.name} before them have to be within the "
            f"{counted / DAY_SECONDS:g} that are counted"
        )
    return ""


def load_config_file(path: Path, settings: Settings | None = None) -> ConfigFile:
    """Read a configuration file, to be used with these settings (default: `Settings()`).

    Raises:
        ConfigError: it cannot be read or used; the message has all mistakes, with their lines.
    """
    settings = settings or Settings()
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
        # The base loader keeps all values as texts; in YAML `no` is false and 010 is eight.
        loader = yaml.BaseLoader(path.read_bytes())
        root = loader.get_single_node()
        problems = list(_repeated_keys(root))
        document = loader.construct_document(root) if root is not None else ""
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ConfigError(f"{path}:{mark.line + 1 if mark else 1}: {_yaml_problem(error)}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: it is no text in UTF-8, or has characters that are none") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: it is nested too deeply") from error
    context = {"directory": path.parent.absolute(), "allow_command": settings.allow_commands}
    try:
        config = ConfigFile.model_validate({} if document == "" else document, context=context)
    except ValidationError as error:
        problems += [
            (_line(root, place(ConfigFile, found["loc"])), _complaint(found)) for found in error.errors()
        ]
    else:
        problems += [
            (_line(root, location), f"{'.'.join(location)}: {problem}")
            for location, maturation in _maturations(config)
            if (problem := maturation_problem(maturation, settings))
        ]
    section = document.get("remediation") if isinstance(document, dict) else None
    for within, problem in mistakes(section, context):
        location = ("remediation", *within)
        problems.append((_line(root, location), f"{'.'.join(location)}: {problem}"))
    if problems:
        raise ConfigError("\n".join(f"{path}:{line}: {text}" for line, text in sorted(problems)))
    return config


def _maturations(config: ConfigFile) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the configured maturations with their locations."""
    yield ("defaults", "maturation"), config.defaults.maturation
    for model, entry in config.models.items():
        yield ("models", model, "maturation"), entry.maturation


def _repeated_keys(root: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Yield the lines of repeated keys, of which YAML takes the last silently."""
    nodes, seen = [root], set()
    while nodes:
        node = nodes.pop()
        if node is None or id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        children = list(_children(node))
        nodes += [child for _, _, child in children]
        keys = [key for key, _, _ in children]
        yield from (
            (line, f"{key} is there twice") for n, (key, line, _) in enumerate(children) if key in keys[:n]
        )


def _children(node: yaml.Node | None) -> Iterator[tuple[str, int, yaml.Node]]:
    """Yield key or index, line and node of a node's children."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield str(index), value.start_mark.line + 1, value


def _line(root: yaml.Node | None, location: tuple[str, ...]) -> int:
    """Return the line of the innermost part of the location that is in the file."""
    node, line = root, 1
    for step in location:
        found = next((child for child in _children(node) if child[0] == step), None)
        if found is None:
            break
        _, line, node = found
    return line


def _complaint(found: Any) -> str:
    said = describe_error(ConfigFile, found)
    location = place(ConfigFile, found["loc"])
    return f"{'.'.join(location)}: {said}" if location else said


def _yaml_problem(error: yaml.MarkedYAMLError) -> str:
    """Return a plain message for an error of PyYAML."""
    said = str(error.problem)
    for pattern, clear in _YAML_PROBLEMS.items():
        if found := re.search(pattern, said):
            return clear.format(*found.groups())
    return f"this is no YAML: {said}"
