"""Ports that tests claim."""

from __future__ import annotations

from collections.abc import Callable


def test_free_ports_differ(free_ports: Callable[[int], list[int]]) -> None:
    assert len({*free_ports(50), *free_ports(50)}) == 100
