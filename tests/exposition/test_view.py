"""The snapshot of a version."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.rig import Rig, make_rows
from tests.support.views import make_view


def test_counters_must_have_the_layout_of_the_reference() -> None:
    with pytest.raises(ValueError, match="fraud 3: values"):
        make_view(values=np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="fraud 3: values"):
        make_view(latency=np.zeros(3, np.int64))


def test_the_first_label_is_not_the_first_prediction(rig: Rig) -> None:
    rows = make_rows(40, prefix="row")
    rig.post_rows(rows)
    first_label = "mlflow_model_first_label_timestamp_seconds"
    assert rig.series("mlflow_model_first_prediction_timestamp_seconds")
    assert not rig.series(first_label)

    rig.post_labels({row["id"]: row["prediction"] for row in rows})

    assert list(rig.series(first_label).values()) == [rig.clock() // 3600 * 3600]
