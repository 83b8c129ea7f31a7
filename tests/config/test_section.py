"""Messages for mistakes in nested sections."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from exporter.config.section import EmptyMapping, Name, Seconds, Section, describe_error, place


class Square(Section):
    kind: Literal["square"]
    side: Seconds


class Disc(Section):
    kind: Literal["disc"]
    radius: Seconds | None = None


Shape = Annotated[Square | Disc, Field(discriminator="kind")]


class Page(Section):
    shapes: Annotated[dict[Name, Shape], EmptyMapping] = {}  # noqa: RUF012
    row: tuple[Disc, ...] = ()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            {"shapes": {"a": {"kind": "disc", "raduis": "1h"}}},
            "shapes.a.raduis: unknown key; did you mean radius?",
        ),
        ({"shapes": {"a": {"kind": "disc", "side": "1h"}}}, "shapes.a.side: unknown key"),
        ({"shapes": {"a": {"kind": "square"}}}, "shapes.a.side: is missing"),
        ({"shapes": {"a": {"side": "1h"}}}, "shapes.a: 'kind' is missing"),
        ({"shapes": {"a": {"kind": "dics"}}}, "shapes.a: has to be 'square' or 'disc'; did you mean disc?"),
        ({"shapes": {"a": "square"}}, "shapes.a: has to be a mapping of keys to values"),
        ({"shapes": {"": {"kind": "disc"}}}, "shapes.: has no value"),
        (
            {"row": [{"kind": "disc"}, {"kind": "disc", "radus": ""}]},
            "row.1.radus: unknown key; did you mean radius?",
        ),
        (
            {"row": [{"kind": "disc", "radius": "1 hour"}]},
            "row.0.radius: '1 hour' is not a duration such as 30m, 24h or 7d",
        ),
        ({"shape": {}}, "shape: unknown key; did you mean shapes?"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_the_nearest_key(document: object, said: str) -> None:
    with pytest.raises(ValidationError) as found:
        Page.model_validate(document)
    (error,) = found.value.errors()
    assert f"{'.'.join(place(Page, error['loc']))}: {describe_error(Page, error)}" == said
