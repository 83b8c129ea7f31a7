"""Lacks of a version, and the lines that mend them."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest

from exporter.aggregates.outcome_layout import outcome_layout
from exporter.aggregates.state import VersionCounts
from exporter.cli import parser
from exporter.fleet import Live, Status, Version
from exporter.reference.profile import Reference
from exporter.storage.schema import StoredVersion
from exporter.web.needs import Need, find_needs
from tests.support.cases import good_findings
from tests.support.labelled import make_labelled_reference
from tests.support.rig import NOON
from tests.support.traffic import make_timeline
from tests.support.views import make_reference

HOSTILE = "a'; rm -rf / #\n\"$(id)"


def make_version(
    reference: Reference | None = None, status: Status = Status.READY, model: str = "fraud"
) -> Version:
    version = Version(StoredVersion(1, model, "3", 0, NOON, status, 0))
    if reference is not None:
        layout = outcome_layout(reference)
        version.live = Live(VersionCounts(1, reference, make_timeline(reference, {}), layout))
    return version


def lacks(version: Version) -> list[str]:
    return [need.lack for need in find_needs(version, "http://x")]


def the_need(version: Version, lack: str) -> Need:
    return next(need for need in find_needs(version, "http://x") if need.lack == lack)


def test_a_version_with_everything_needs_nothing_but_labels() -> None:
    labelled = make_labelled_reference("binary", target="label")
    reference = replace(labelled, variation=make_reference().variation)
    version = make_version(reference)
    assert lacks(version) == []  # not evaluated yet
    findings = good_findings()
    version.findings = replace(findings, quality=(replace(findings.quality[0], labels=0, estimates=()),))
    assert lacks(version) == ["It has no labels."]
    assert find_needs(version, "http://x")[0].cost == "Its quality is neither measured nor estimated."
    version.live = replace(version.live, totals=replace(version.live.totals, labels=1))
    assert "It has no labels." not in lacks(version)


@pytest.mark.parametrize(
    ("status", "lack"),
    [
        (Status.NO_REFERENCE, ["It has no reference."]),
        (Status.BROKEN, ["Its reference cannot be used."]),
        (Status.PENDING, []),
        (Status.COLLECTING, []),
    ],
)
def test_without_a_reference(status: Status, lack: list[str]) -> None:
    assert lacks(make_version(status=status)) == lack


def test_without_times_limits_are_provisional() -> None:
    version = make_version(make_reference(target="is_fraud", variation={}))
    need = the_need(version, "Its reference has no times over two weeks.")
    assert "only large drift is reported" in need.cost
    assert need.line.endswith("# with a column `timestamp`")


def test_without_predictions_in_the_reference_there_is_no_quality() -> None:
    whole = make_reference()
    cells = whole.offsets[3]
    features = replace(
        whole, columns=whole.columns[:3], counts=whole.counts[:cells], moments=whole.moments[:3], labels=None
    )
    assert "Its quality cannot be measured: the reference has no usable predictions." in lacks(
        make_version(features)
    )


def test_a_metric_without_a_baseline_is_named() -> None:
    version = make_version(make_labelled_reference("binary", target="label"))
    version.findings = good_findings()
    need = the_need(version, "It has no baseline for precision.")
    assert "set_model_version_tag('fraud', '3', 'monitoring.baseline.precision', '0.8')" in need.line


def test_columns_that_the_reference_lacks_are_named() -> None:
    version = make_version(make_reference(target="is_fraud"))
    version.unknown_columns = frozenset({"b", "a\n"})
    assert "Its reference lacks 2 columns of the predictions: a\\n, b." in lacks(version)


def test_lines_for_the_shell_are_taken_as_they_are_meant_whatever_the_model_is_called() -> None:
    version = make_version(status=Status.BROKEN, model=HOSTILE)
    version.last_prediction = None
    post, rebaseline = (shlex.split(need.line) for need in find_needs(version, "http://x/$(id)"))
    assert (post[0], post[-1]) == ("curl", "http://x/$(id)/v1/predictions")
    assert json.loads(post[4])["model"] == HOSTILE
    options = parser().parse_args(rebaseline[1:])
    assert (options.model, options.version, options.exporter) == (HOSTILE, "3", "http://x/$(id)")
