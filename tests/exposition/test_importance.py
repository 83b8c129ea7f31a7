"""Series of importance."""

from __future__ import annotations

from dataclasses import replace

from exporter.evaluation.importance import AttributionDrift
from tests.support.pages import collect, lines, values
from tests.support.views import NOW, make_view

ATTRIBUTION = "mlflow_model_attribution_drift"


def test_features_have_a_share_and_outputs_have_none() -> None:
    shares = values(collect([make_view()]), "mlflow_model_feature_importance_ratio")
    assert shares == {
        'column="age",role="feature"': 0.75,
        'column="country",role="feature"': 0.25,
        'column="user_id",role="feature"': 0.0,
    }


def test_an_attribution_drift_of_hours_ago_is_gone() -> None:
    view = make_view()
    old = replace(view, attribution=AttributionDrift(NOW - 4 * 3600, 0.04, 900, {}))
    assert lines(collect([view]), ATTRIBUTION)
    assert not lines(collect([old]), ATTRIBUTION)
