from __future__ import annotations

from exporter.remediation.tenure import Tenure, current_tenure
from exporter.storage.schema import AliasMove


def moves(*versions: str) -> list[AliasMove]:
    return [AliasMove("fraud", "champion", version, float(at)) for at, version in enumerate(versions)]


def test_the_tenure_before_is_of_the_version_that_a_rollback_goes_to() -> None:
    assert current_tenure(moves("1", "2", "3")) == Tenure(3, "3", 2.0, "2")


def test_a_first_tenure_has_none_before_it() -> None:
    assert current_tenure(moves("1")) == Tenure(1, "1", 0.0, "")


def test_repeated_moves_to_the_same_version_are_one_tenure() -> None:
    assert current_tenure(moves("1", "2", "2", "2")) == Tenure(2, "2", 1.0, "1")


def test_an_absence_of_the_alias_is_no_tenure() -> None:
    assert current_tenure(moves("1", "2", "", "2")) == Tenure(2, "2", 1.0, "1")
    assert current_tenure(moves("1", "", "2")) == Tenure(2, "2", 2.0, "1")


def test_an_alias_without_a_version_has_no_tenure() -> None:
    assert current_tenure(moves("1", "")) is None
    assert current_tenure([]) is None
