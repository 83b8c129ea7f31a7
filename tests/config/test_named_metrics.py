"""Entries of `metrics` and `descriptors`: a name, or a name with arguments."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.config.named_metrics import MAX_NAMED, MAX_PARTS, NamedMetric, NamedMetrics

ADAPTER = TypeAdapter[tuple[NamedMetric, ...]](NamedMetrics)


def test_an_entry_is_a_name_or_a_name_with_its_arguments() -> None:
    written = ["DataDriftPreset", {"ValueDrift": {"column": "no", "threshold": "0.2"}}, {"RowCount": ""}]
    assert ADAPTER.validate_python(written) == (
        NamedMetric(name="DataDriftPreset"),
        NamedMetric(name="ValueDrift", arguments={"column": "no", "threshold": "0.2"}),
        NamedMetric(name="RowCount"),
    )


def test_what_was_read_can_be_read_again() -> None:
    read = ADAPTER.validate_python([{"ValueDrift": {"column": "amount"}}])
    assert ADAPTER.validate_python(ADAPTER.dump_python(read)) == read


LAUGHS: list[object] = ["ha"]
for _ in range(40):
    LAUGHS = [LAUGHS, LAUGHS]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([{"ValueDrift": {}, "RowCount": {}}], "has to be a name, or a mapping of one name to its arguments"),
        (
            [{"ValueDrift": "amount"}],
            "the arguments of ValueDrift have to be a mapping of their names",
        ),
        (["os.system"], "String should match pattern"),
        ([{"name": "RowCount", "tests": []}], "Extra inputs are not permitted"),
        (["RowCount"] * (MAX_NAMED + 1), f"at most {MAX_NAMED} items"),
        ([{"InListValueCount": {"values": LAUGHS}}], f"InListValueCount have more than {MAX_PARTS} parts"),
    ],
    ids=["two names", "no mapping", "no class", "unknown key", "too many", "exponential"],
)
def test_a_mistake_is_told(written: list[object], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ADAPTER.validate_python(written)
    # The error's own text would have the whole input in it.
    assert message in refused.value.errors(include_input=False)[0]["msg"]
