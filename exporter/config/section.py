"""Building blocks of configuration files: sections, types of values, and messages for mistakes.

Values are texts as written until a setting's type parses them: a column may be called `no` or `007`.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic import ValidationInfo as Info

from exporter.errors import ConfigError
from exporter.settings import parse_window


class Section(BaseModel):
    """A section, in which an unknown key is an error: a misspelt threshold would protect nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _seconds(value: object) -> object:
    if not isinstance(value, str) or value == "0":
        return value
    try:
        return parse_window(value).seconds
    except ConfigError as error:
        raise ValueError(str(error)) from None


def location(value: object, info: Info) -> object:
    """Resolve a path relative to the file that names it."""
    try:
        readable = not isinstance(value, str) or (urlsplit(value) is not None and "\0" not in value)
    except ValueError:
        readable = False
    if not readable:
        raise ValueError("is neither a path nor a URL")
    is_uri = isinstance(value, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value)
    return (
        value if is_uri or not value or not info.context else str(Path(info.context["directory"], str(value)))
    )


def _empty(value: object) -> object:
    """Convert a section whose lines are all commented out to an empty one."""
    return {} if value == "" else value


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("a column is named twice")
    return names


EmptyMapping = BeforeValidator(_empty)  # of a section that may be there without content
Share = Annotated[float, Field(ge=0, le=1)]
Threshold = Annotated[float, Field(gt=0, lt=1000)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Names = Annotated[tuple[Name, ...], AfterValidator(_once)]  # of columns
Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]  # written as `30m`, `24h` or `7d`
Location = Annotated[str, Field(min_length=1), BeforeValidator(location)]


# -- messages -----------------------------------------------------------------------------------------------

_MESSAGES = {
    "dict_type": "has to be a mapping of keys to values",
    "model_type": "has to be a mapping of keys to values",
    "model_attributes_type": "has to be a mapping of keys to values",
    "tuple_type": "has to be a list",
    "string_type": "has to be a single value",
    "string_too_short": "has no value",
    "too_short": "has no value",
    "string_too_long": "is longer than 256 characters",
    "int_parsing_size": "is too large",
    "float_type": "has to be a number",
    "float_parsing": "has to be a number",
    "int_type": "has to be a whole number",
    "int_parsing": "has to be a whole number",
    "bool_type": "has to be true or false",
    "bool_parsing": "has to be true or false",
    "missing": "is missing",
}


def describe_error(root: type[Section], found: Any) -> str:
    """Return a plain message for an error of pydantic in a section."""
    if found["type"] == "extra_forbidden":
        _, sections = _walk(root, found["loc"])
        known = [key for section in sections for key in section.model_fields]
        similar = get_close_matches(str(found["loc"][-1]), known, n=1, cutoff=0.75)
        return "unknown key" + (f"; did you mean {similar[0]}?" if similar else "")
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])
    if found["type"] == "too_long":
        return f"has {found['ctx']['actual_length']} entries, at most {found['ctx']['max_length']} are taken"
    if found["type"] == "string_pattern_mismatch":
        return f"has to match {found['ctx']['pattern']}"
    if found["type"] in ("literal_error", "union_tag_invalid"):
        return _describe_choice(found)
    if found["type"] == "union_tag_not_found":
        return f"{found['ctx']['discriminator']} is missing"
    return _MESSAGES.get(found["type"], str(found["msg"]).replace("Input should", "has to"))


def _describe_choice(found: Any) -> str:
    context = found["ctx"]
    listed = context.get("expected") or re.sub(r", (?=[^,]*$)", " or ", context["expected_tags"])
    given = context.get("tag", found["input"])
    similar = get_close_matches(str(given), re.findall(r"'([^']*)'", listed), n=1, cutoff=0.75)
    return f"has to be {listed}" + (f"; did you mean {similar[0]}?" if similar else "")


def place(root: type[Section], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return keys and indexes that lead to an error of pydantic in the file."""
    return _walk(root, location)[0]


def _walk(
    root: type[Section], location: tuple[int | str, ...]
) -> tuple[tuple[str, ...], list[type[BaseModel]]]:
    """Return the steps of a location that are in the file, and the sections in which the last one is.

    Pydantic's locations have the tag of a union discriminated by a literal field, and `[key]`, as well.
    """
    kinds: list[Any] = [root]
    sections: list[type[BaseModel]] = []
    steps = []
    for step in location:
        models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        tagged = [model for model in models if step in _tags(model)] if len(models) > 1 else []
        if tagged:
            kinds = list(tagged)
        elif step != "[key]":
            steps.append(str(step))
            sections = models
            kinds = [inner for kind in kinds for inner in _inside(kind, step)]
    return tuple(steps), sections


def _tags(model: type[BaseModel]) -> list[object]:
    literals = [each.annotation for each in model.model_fields.values()]
    return [tag for each in literals if get_origin(each) is Literal for tag in get_args(each)]


def _inside(kind: Any, step: int | str) -> list[Any]:
    """Return the types of a value's part."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(step))
        return _alternatives(field.annotation) if field is not None else []
    inner = get_args(kind)
    if not inner or get_origin(kind) not in (dict, tuple, list):
        return []
    return _alternatives(inner[1] if get_origin(kind) is dict else inner[0])


def _alternatives(annotation: Any) -> list[Any]:
    """Return the members of a union, without annotations."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [each for member in get_args(annotation) for each in _alternatives(member)]
    return [annotation]
