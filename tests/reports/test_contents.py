"""A result survives its encoding."""

from __future__ import annotations

import pytest

from exporter.errors import StoreDamagedError
from exporter.reports.contents import EvidentlyValue, ReportResult, decode_result

RESULT = ReportResult(
    html=b"<html>",
    json=b"{}",
    snapshot=b"",
    values=(EvidentlyValue("ValueDrift", "amount", "", 0.25, named=True),),
    notes=("column b has no value",),
    rows=7,
    reference_rows=9,
)


def test_a_result_is_restored() -> None:
    assert decode_result(RESULT.encode()) == RESULT


@pytest.mark.parametrize("damaged", [b"", RESULT.encode()[:-1], RESULT.encode() + b"x", bytes(100)])
def test_damage_is_told(damaged: bytes) -> None:
    with pytest.raises(StoreDamagedError):
        decode_result(damaged)
