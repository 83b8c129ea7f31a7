"""Templates of JSON documents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.body_template import (
    MAX_BODY_BYTES,
    MAX_TEMPLATE_BYTES,
    MAX_VALUE_CHARACTERS,
    parse_template,
    placeholders,
    render,
)

VALUES = {"model": "fraud", "model_version": "3", "labels.column": "amount"}


def test_values_stand_in_texts_and_the_rest_stays() -> None:
    template = parse_template(
        '{"a": ["{model} {model_version}", 3, true, null], "b": {"{{c}}": "{labels.column}"}}'
    )
    assert render(template, VALUES) == {"a": ["fraud 3", 3, True, None], "b": {"{{c}}": "amount"}}
    assert placeholders(template) == {"model", "model_version", "labels.column"}


def test_two_braces_are_one() -> None:
    assert render(parse_template(["{{model}} {model}"]), VALUES) == ["{model} fraud"]


@given(st.text(max_size=50))
def test_no_value_gets_out_of_its_text(value: str) -> None:
    template = parse_template('{"model": "{model}", "note": "<{model}>"}')
    rendered = render(template, {"model": value})
    assert json.loads(json.dumps(rendered)) == {"model": value, "note": f"<{value}>"}


@given(st.text("{}!:[].a model_version", max_size=30))
def test_every_text_is_a_template_or_told(text: str) -> None:
    try:
        template = parse_template({"a": text})
    except ValueError:
        return
    values = dict.fromkeys(placeholders(template), "x")
    assert isinstance(render(template, values)["a"], str)


def test_a_value_with_placeholders_is_not_filled_in() -> None:
    assert render(parse_template('"{model}"'), {"model": "{labels.column}"}) == "{labels.column}"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{", "is no JSON document"),
        ('{"a": NaN', "is no JSON document"),
        ({"a": {1, 2}}, "is no JSON document"),
        ({"a": "{modle}"}, "{modle} does not exist; there are action_id, policy, "),
        ({"a": "{model!r}"}, "{model!r} does not exist"),
        ({"a": "{model:>9999999}"}, "{model:>9999999} does not exist"),
        ({"a": "{model.__class__}"}, "{model.__class__} does not exist"),
        ({"a": "{labels.a[0]}"}, "{labels.a[0]} does not exist"),
        ({"a": "{labels.}"}, "{labels.} does not exist"),
        ({"a": "{}"}, "{} does not exist"),
        ({"a": "{"}, "has a single brace"),
        ({"a": "model}"}, "has a single brace"),
        ("[" * 20 + "]" * 20, "is nested more than 16 levels deep"),
        ("[" * 100_000, "is no JSON document"),
        ({"a": "x" * MAX_TEMPLATE_BYTES}, "is larger than"),
    ],
)
def test_what_is_no_template_is_told(written: Any, problem: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_template(written)
    assert problem in str(raised.value)


def test_a_label_that_an_alert_lacks_is_an_error() -> None:
    with pytest.raises(ValueError, match="the alert has no label window"):
        render(parse_template(["{labels.window}"]), VALUES)


def test_documents_are_bounded() -> None:
    with pytest.raises(ValueError, match="the value of model has more than"):
        render(["{model}"], {"model": "x" * (MAX_VALUE_CHARACTERS + 1)})
    many = parse_template(["{model}"] * (MAX_BODY_BYTES // MAX_VALUE_CHARACTERS + 1))
    with pytest.raises(ValueError, match="the document is larger than"):
        render(many, {"model": "x" * MAX_VALUE_CHARACTERS})
