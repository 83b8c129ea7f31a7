"""The rule of `exporter/storage/README.md` by which only some rows have an id."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import exporter.storage
from exporter.config.models import ModelsConfig
from tests.support.rig import Rig, make_rows

PAGE = (Path(exporter.storage.__file__).parent / "README.md").read_text()
ROWS, SHARE = 6000, 0.1


@pytest.fixture
def sampled_id() -> Callable[..., str | None]:
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    names: dict[str, Any] = {}
    exec(block, names)
    found: Callable[..., str | None] = names["sampled_id"]
    return found


def degraded(rig: Rig, coverage: float) -> float | None:
    """The verdict on the accuracy, with this minimum of coverage."""
    entry = {"baselines": {"accuracy": 0.8}, "minimums": {"coverage": coverage}}
    rig.service.discovery.configure(ModelsConfig.model_validate({"models": {"fraud": entry}}))
    rig.evaluate()
    labels = 'model="fraud",model_version="1",metric="accuracy",window="24h"'
    return rig.sample(f"mlflow_model_quality_degraded{{{labels}}}")


def test_quality_is_judged_with_ids_of_some_rows(
    start: Callable[..., Rig], sampled_id: Callable[..., str | None]
) -> None:
    rig = start()
    rows = make_rows(ROWS, prefix="row-", timestamp=rig.clock() - 60)
    with_id = {row["id"]: row["prediction"] for row in rows if sampled_id(row["id"], SHARE)}
    assert abs(len(with_id) - SHARE * ROWS) < 0.2 * SHARE * ROWS
    sent = [{**row, "id": sampled_id(row["id"], SHARE)} for row in rows]
    assert rig.post_rows(sent).accepted == ROWS
    assert rig.post_rows(sent[:100]).duplicates == sum(row["id"] is not None for row in sent[:100])
    assert rig.post_labels(with_id).accepted == len(with_id)
    assert rig.quality("accuracy") == 1.0
    assert degraded(rig, 0.8) is None
    assert degraded(rig, 0.8 * SHARE) == 0.0
