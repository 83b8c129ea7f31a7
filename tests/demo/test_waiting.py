from __future__ import annotations

import pytest

from exporter.demo.waiting import wait_until
from exporter.errors import DemoError


def test_waiting_ends_when_it_is_ready() -> None:
    answers = iter((False, False, True))
    wait_until(lambda: next(answers), "never")
    assert next(answers, None) is None


def test_waiting_in_vain_is_an_error() -> None:
    with pytest.raises(DemoError, match="the exporter does not find it"):
        wait_until(lambda: False, "the exporter does not find it", seconds=0.05)
