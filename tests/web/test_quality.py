"""Quality of a version, and of its segments, on its page."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from exporter.evaluation.model_quality import Confusion
from exporter.evaluation.quality_verdicts import MetricQuality
from exporter.measures.intervals import Interval
from exporter.monitoring.verdicts import Subject
from exporter.reference.profile import Segment
from exporter.web.quality import MAX_CLASSES, compare_figures, draw_interval, view_quality
from exporter.web.segments import view_segments
from tests.support.views import NOW, make_quality, make_reference, make_segment_evaluation


def test_what_is_degraded_comes_first_and_what_is_missing_says_why() -> None:
    since = {Subject("quality", "recall", "24h"): NOW - 60}
    view = view_quality(make_quality(), None, since)
    assert [(row.metric, row.verdict, row.why) for row in view.metrics] == [
        ("recall", "degraded", ""),
        ("precision", "undecided", "no baseline"),
        ("f1", "absent", "no rows to compute it from"),
    ]
    recall, precision, f1 = view.metrics
    assert (recall.figure, recall.baseline, recall.limit) == (Interval(0.76, 0.7, 0.81), 0.9, 0.07)
    assert (recall.since, precision.since) == (NOW - 60, None)
    assert (precision.provisional, f1.figure, f1.picture) == (False, None, None)
    assert [(row.metric, row.verdict, row.error) for row in view.estimates] == [("recall", "degraded", 0.02)]
    assert view.label_drift == "drifted"
    assert view.classes == (("1", (("recall", Interval(0.76, 0.7, 0.81)),)),)


def test_the_confusion_matrix_has_the_classes_with_most_rows() -> None:
    count = MAX_CLASSES + 5
    rows = np.diag(np.arange(count + 1))
    rows[-1, -1] = 0  # no row is of another class
    confusion = Confusion((*(f"c{k}" for k in range(count)), "(other)"), rows)
    view = view_quality(replace(make_quality(), confusion=confusion), None, {})
    assert view.matrix is not None
    assert view.matrix.classes == tuple(f"c{k}" for k in range(5, count))
    assert view.matrix.left_out == 5
    assert view.matrix.rows[0][0] == 5
    assert view.matrix.share(0, 0) == 1
    assert view_quality(replace(make_quality(), labels=0), None, {}).matrix is None


@pytest.mark.parametrize(
    ("metric", "limit", "zone"),
    [("recall", 0.1, "left"), ("log_loss", 0.1, "right"), ("bias", 0.1, ""), ("recall", None, "")],
)
def test_a_picture_shades_where_a_figure_counts_as_degraded(
    metric: str, limit: float | None, zone: str
) -> None:
    drawn = draw_interval(metric, Interval(0.5, 0.4, 0.6), 0.55, limit)
    picture = ElementTree.fromstring(str(drawn))
    shaded = next(picture.iter("rect"), None)
    assert (shaded is not None) == bool(zone)
    if shaded is not None:
        assert (float(shaded.attrib["x"]) == 0) == (zone == "left")


def test_without_a_figure_there_is_no_picture() -> None:
    assert draw_interval("recall", Interval(np.nan, np.nan, np.nan), 0.5, 0.1) is None


def figure(metric: str, low: float, high: float) -> MetricQuality:
    return MetricQuality(metric, Interval((low + high) / 2, low, high))


def test_a_version_is_better_where_the_intervals_do_not_overlap() -> None:
    own = [figure(m, 0.8, 0.9) for m in ("recall", "accuracy", "log_loss", "bias", "f1")]
    other = [
        figure("recall", 0.6, 0.7),
        figure("accuracy", 0.85, 0.95),
        figure("log_loss", 0.6, 0.7),
        figure("bias", 0.6, 0.7),
    ]
    assert {each.metric: each.better for each in compare_figures(own, other)} == {
        "recall": "own",
        "accuracy": "",
        "log_loss": "other",
        "bias": "",
    }


def test_bad_segments_come_first_without_the_column_that_makes_them() -> None:
    reference = make_reference()
    age, country = (
        make_segment_evaluation(reference, Segment(name, column, 0, reference))
        for name, column in (("age=1", 0), ("country=DE", 1))
    )
    bad, other = view_segments((age, country), "1h", [column.name for column in reference.columns])
    assert (bad.name, bad.drifted, bad.rows, bad.bad) == ("country=DE", ("age",), 1204, True)
    assert (other.name, other.drifted, other.bad) == ("age=1", (), False)
    assert other.why == "its quality is not measured"
    (day, _) = view_segments((age, country), "24h", [column.name for column in reference.columns])
    assert (day.degraded, [metric for metric, _ in day.figures]) == (("recall",), ["precision", "recall"])
