"""Importance of versions: read or measured, kept, and mended when what decides on it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.aggregates.state import VersionCounts
from exporter.errors import ImportanceError, RegistryUnreachableError
from exporter.evaluation.importance import Importance
from exporter.fleet import Version
from exporter.monitoring.attributions import Attributions
from tests.support.rig import Rig, make_rows

TAG = '{"age": 3, "country": 1}'
ERRORS = 'mlflow_exporter_evaluation_errors_total{model="fraud",model_version="1",stage="importance"}'
DRIFT = "mlflow_model_attribution_drift"


class Measured(Attributions):
    """Attributions that were measured elsewhere; an error is raised."""

    def __init__(self) -> None:
        self.reference: Mapping[str, float] | Exception = {"age": 8.0, "country": 1.0, "new": 1.0}
        self.live: Mapping[str, float] | Exception | None = None
        self.calls = 0

    def of_reference(self, version: Version, counts: VersionCounts) -> dict[str, float]:
        self.calls += 1
        if isinstance(self.reference, Exception):
            raise self.reference
        return dict(self.reference)

    def of_live_rows(
        self, version: Version, counts: VersionCounts, now: float
    ) -> tuple[dict[str, float], int] | None:
        if isinstance(self.live, Exception):
            raise self.live
        return (dict(self.live), 700) if self.live is not None else None


@pytest.fixture
def measured() -> Measured:
    return Measured()


@pytest.fixture
def permuting(
    start: Callable[..., Rig], tmp_path: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Rig]:
    """Start a rig whose file asks for importance by permutation."""
    monkeypatch.setattr("exporter.service.Attributions", lambda *_: measured)
    path = tmp_path / "exporter.yml"
    path.write_text("defaults: {importance: permutation}\n")
    return lambda **options: start(config=str(path), **options)


def importance_of(rig: Rig) -> Importance:
    rig.service.importance.run()
    found = rig.version().importance
    assert found is not None, rig.version().importance_problem
    return found


def problem_of(rig: Rig) -> str:
    rig.service.importance.run()
    return rig.version().importance_problem


def retagged(rig: Rig, **tags: Any) -> Rig:
    rig.registry.tag("fraud", "1", **tags)
    rig.poll()
    return rig


def test_a_tag_is_read_and_takes_effect_with_the_next_evaluation(rig: Rig) -> None:
    retagged(rig, importance=TAG)
    found = importance_of(rig)
    assert (dict(found.shares), found.source) == ({"age": 0.75, "country": 0.25, "new": 0.0}, "tag")
    rows = make_rows(1000)
    for row in rows:
        row["features"]["age"] += 200
    rig.post_rows(rows)
    rig.evaluate()
    drift = rig.sample('mlflow_model_drift_importance{model="fraud",model_version="1",window="24h"}')
    assert drift is not None
    assert 0.5 < drift < 0.75  # age, far beyond its limit


def test_a_tag_that_changes_is_read_again_and_one_that_goes_takes_its_importance_along(rig: Rig) -> None:
    importance_of(retagged(rig, importance=TAG))
    assert dict(importance_of(retagged(rig, importance='{"new": 1}')).shares)["new"] == 1.0
    assert problem_of(retagged(rig, importance="")) == ""
    assert rig.version().importance is None


@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ('{"height": 1}', "importance gives no feature of the reference a weight above 0"),
        ("nowhere.json", "there is no file nowhere.json"),
    ],
)
def test_what_cannot_be_used_is_a_problem_and_a_count(tag: str, problem: str, rig: Rig) -> None:
    assert problem_of(retagged(rig, importance=tag)) == problem
    assert rig.sample(ERRORS) == 1
    assert problem_of(rig) == problem
    assert rig.sample(ERRORS) == 1  # it is looked at again in an hour
    rig.clock.advance(3600)
    problem_of(rig)
    assert rig.sample(ERRORS) == 2


def test_while_mlflow_is_down_what_is_known_stays_also_over_a_restart(start: Callable[..., Rig]) -> None:
    rig = retagged(start(), importance=TAG)
    known = importance_of(rig)
    rig.stop()
    rig.registry.failure = RegistryUnreachableError("down")
    again = start(registry=rig.registry, settle=False)
    assert importance_of(again) == known
    assert again.version().importance_problem == ""
    assert again.sample(ERRORS) == 0


def test_permutation_is_measured_once_for_a_reference(
    permuting: Callable[..., Rig], measured: Measured
) -> None:
    rig = permuting()
    found = importance_of(rig)
    assert (dict(found.shares), found.source) == ({"age": 0.8, "country": 0.1, "new": 0.1}, "permutation")
    rig.clock.advance(400 * 86400)
    importance_of(rig)
    rig.stop()
    again = permuting(registry=rig.registry)
    assert importance_of(again) == found
    assert measured.calls == 1


def test_a_measurement_that_fails_is_repeated_a_day_later(
    permuting: Callable[..., Rig], measured: Measured
) -> None:
    measured.reference = ImportanceError("the model cannot be run: it takes longer than 300 s")
    rig = permuting()
    assert problem_of(rig) == "the model cannot be run: it takes longer than 300 s"
    rig.clock.advance(12 * 3600)
    rig.stop()
    again = permuting(registry=rig.registry, clock=rig.clock)
    assert problem_of(again) == "the model cannot be run: it takes longer than 300 s"
    assert measured.calls == 1
    again.clock.advance(12 * 3600)
    measured.reference = {"age": 1.0}
    assert importance_of(again).shares["age"] == 1.0
    assert again.version().importance_problem == ""


def test_a_mapping_in_a_tag_needs_no_permutation(permuting: Callable[..., Rig], measured: Measured) -> None:
    assert importance_of(retagged(permuting(), importance=TAG)).source == "tag"
    assert measured.calls == 0


def test_attributions_of_live_rows_are_held_against_the_references(
    permuting: Callable[..., Rig], measured: Measured
) -> None:
    measured.live = {"age": 5.0, "country": 4.0, "new": 1.0}
    rig = permuting()
    importance_of(rig)
    rig.post_rows(make_rows(10))
    rig.evaluate()
    assert rig.sample(f'{DRIFT}{{model="fraud",model_version="1"}}') == pytest.approx(0.3)
    measured.live = ImportanceError("the model does not answer: ValueError: no")
    rig.clock.advance(3600)
    assert problem_of(rig) == (
        "attribution drift cannot be measured: the model does not answer: ValueError: no"
    )
    rig.evaluate()
    assert not rig.series(DRIFT)


def test_too_few_live_rows_are_no_problem(permuting: Callable[..., Rig]) -> None:
    rig = permuting()
    importance_of(rig)
    assert (rig.version().attribution, rig.version().importance_problem) == (None, "")


def test_a_failure_of_one_version_hurts_no_other(permuting: Callable[..., Rig], measured: Measured) -> None:
    rig = permuting()
    rig.registry.register("fraud", None, alias="challenger")
    retagged(rig, importance="")
    measured.reference = ZeroDivisionError("a fault of ours")
    rig.service.importance.run()
    assert rig.sample(ERRORS) == 1
