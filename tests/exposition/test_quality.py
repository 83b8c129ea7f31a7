"""Series of the confusion of classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from exporter.evaluation.model_quality import Confusion
from exporter.exposition.quality import MAX_CONFUSED
from exporter.reference.bins import OTHER
from tests.support.pages import collect, lines, values
from tests.support.views import make_quality, make_view


def confusions(confusion: Confusion | None) -> dict[str, float]:
    view = make_view(quality=(replace(make_quality(), confusion=confusion),))
    return values(collect([view]), "mlflow_model_confusion")


def test_each_pair_of_classes_has_its_count() -> None:
    rows = np.array([[500, 60, 0], [0, 250, 0], [0, 0, 0]])
    assert confusions(Confusion(("0", "1", OTHER), rows)) == {
        'actual="0",predicted="0",window="24h"': 500,
        'actual="0",predicted="1",window="24h"': 60,
        'actual="1",predicted="0",window="24h"': 0,
        'actual="1",predicted="1",window="24h"': 250,
    }


def test_other_classes_are_shown_where_they_occur() -> None:
    found = confusions(Confusion(("0", "1", OTHER), np.array([[5, 0, 0], [0, 5, 0], [3, 0, 0]])))
    assert found[f'actual="{OTHER}",predicted="0",window="24h"'] == 3
    assert len(found) == 5


def test_a_class_may_have_the_name_of_the_others() -> None:
    view = make_view(
        quality=(replace(make_quality(), confusion=Confusion(("0", OTHER, OTHER), np.ones((3, 3)))),)
    )
    found = lines(collect([view]), "mlflow_model_confusion")
    assert len(found) == len({line.rpartition(" ")[0] for line in found})


def test_a_matrix_of_many_classes_has_no_series() -> None:
    def of(classes: int) -> Confusion:
        names = (*(f"class {number}" for number in range(classes)), OTHER)
        return Confusion(names, np.ones((classes + 1, classes + 1), np.int64))

    assert len(confusions(of(MAX_CONFUSED))) == (MAX_CONFUSED + 1) ** 2
    assert confusions(of(MAX_CONFUSED + 1)) == confusions(None) == {}
