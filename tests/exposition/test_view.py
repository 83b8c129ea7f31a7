"""The snapshot of a version."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.views import make_view


def test_counters_must_have_the_layout_of_the_reference() -> None:
    with pytest.raises(ValueError, match="fraud 3: values"):
        make_view(values=np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="fraud 3: values"):
        make_view(latency=np.zeros(3, np.int64))
