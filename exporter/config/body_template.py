"""Templates of JSON documents: texts in them hold placeholders, whose values stay within their text.

    {"model": "{model}", "note": "{alertname} of {labels.column}", "epochs": 3}

Values are put into the texts of the parsed document, so that no value can add a key or end a text. `{{` and
`}}` stand for braces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

NAMES = (
    "action_id",
    "policy",
    "alertname",
    "severity",
    "starts_at",
    "model",
    "model_version",
    "alias",
)
LABEL_PREFIX = "labels."
MAX_TEMPLATE_BYTES = 64 * 1024
MAX_DEPTH = 16
MAX_VALUE_CHARACTERS = 4096
MAX_BODY_BYTES = 256 * 1024

_LABEL = re.compile(r"labels\.[a-zA-Z_][a-zA-Z0-9_]*")


def parse_template(written: object) -> Any:
    """Return a template as a JSON value, checked.

    Args:
        written: the text of a JSON document, or a value that is made of mappings, lists and texts.

    Raises:
        ValueError: no JSON, too large, nested too deeply, or a placeholder that does not exist.
    """
    try:
        template = json.loads(written) if isinstance(written, str) else written
        size = len(json.dumps(template))
    except (ValueError, TypeError, RecursionError):
        raise ValueError("is no JSON document") from None
    if size > MAX_TEMPLATE_BYTES:
        raise ValueError(f"is larger than {MAX_TEMPLATE_BYTES} bytes")
    _map_texts(template, _check)
    return template


def placeholders(template: Any) -> frozenset[str]:
    """Return the names of all placeholders of a template.

    >>> sorted(placeholders({"a": ["{model} {labels.column}", 3]}))
    ['labels.column', 'model']
    """
    found: set[str] = set()

    def note(text: str) -> str:
        found.update(name for _, name, _, _ in Formatter().parse(text) if name is not None)
        return text

    _map_texts(template, note)
    return frozenset(found)


def render(template: Any, values: Mapping[str, str]) -> Any:
    """Return the template with the values in place of its placeholders.

    Args:
        template: from `parse_template`.
        values: by name of placeholder.

    Raises:
        ValueError: a value is missing or too long, or the document is larger than `MAX_BODY_BYTES`.

    >>> render({"model": "{model}"}, {"model": 'x", "admin": true'})
    {'model': 'x", "admin": true'}
    """

    def fill(text: str) -> str:
        return "".join(
            literal + (_value(name, values) if name is not None else "")
            for literal, name, _, _ in Formatter().parse(text)
        )

    document = _map_texts(template, fill)
    if len(json.dumps(document)) > MAX_BODY_BYTES:
        raise ValueError(f"the document is larger than {MAX_BODY_BYTES} bytes")
    return document


def _value(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        raise ValueError(f"the alert has no {name.replace(LABEL_PREFIX, 'label ')}")
    if len(values[name]) > MAX_VALUE_CHARACTERS:
        raise ValueError(f"the value of {name} has more than {MAX_VALUE_CHARACTERS} characters")
    return values[name]


def _check(text: str) -> str:
    """Return the text.

    Raises:
        ValueError: a placeholder does not exist, or a brace is not closed.
    """
    try:
        fields = list(Formatter().parse(text))
    except ValueError:
        raise ValueError(f"{text!r} has a single brace; write {{{{ or }}}} for a brace itself") from None
    for _, name, form, conversion in fields:
        if name is None:
            continue
        if form or conversion or (name not in NAMES and not _LABEL.fullmatch(name)):
            shown = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise ValueError(f"{{{shown}}} does not exist; there are {', '.join(NAMES)} and labels.<name>")
    return text


def _map_texts(value: Any, change: Callable[[str], str], depth: int = 0) -> Any:
    """Return a JSON value whose texts, keys excepted, are changed."""
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _map_texts(each, change, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_map_texts(each, change, depth + 1) for each in value]
    return value
