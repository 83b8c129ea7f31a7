"""Series of bad verdicts: since when, and how severe."""

from __future__ import annotations

from exporter.exposition.bad_verdicts import BAD_CATALOG
from exporter.fleet import BadVerdict
from tests.support.pages import collect, values
from tests.support.views import make_view

SINCE = "mlflow_model_drift_since_timestamp_seconds"
AGE = 'column="age",role="feature",window="1h"'


def test_drift_of_labels_is_in_the_family_of_drift() -> None:
    page = collect([make_view(bad={("label_drift", "label", "24h", ""): BadVerdict(120, severe=True)})])
    label = 'column="is_fraud",role="label",window="24h"'
    assert values(page, SINCE) == {label: 120}
    assert values(page, "mlflow_model_drift_severe") == {label: 1}


def test_segments_are_no_part_of_the_whole() -> None:
    bad = {
        ("drift", "age", "1h", ""): BadVerdict(120),
        ("drift", "age", "1h", "country=DE"): BadVerdict(60),
        ("drift", "age", "24h", "country=DE"): BadVerdict(60),
    }
    assert values(collect([make_view(bad=bad)]), SINCE) == {AGE: 120}


def test_without_a_bad_verdict_there_is_no_series() -> None:
    page = collect([make_view(bad={})])
    assert not any(values(page, metric.name) for metric in BAD_CATALOG)
