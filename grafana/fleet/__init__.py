"""The dashboard of all models, which is Grafana's home: which of them needs somebody?"""

from __future__ import annotations

import annotations as marks
import board
from board import Section
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard
from links import FLEET
from promql import among

from fleet import models
from fleet import queries as q

_ANY = 'model!=""'
SECTIONS: tuple[Section, ...] = (
    ("", models.head),
    ("", models.rows),
    ("Models over time", models.over_time),
)


def build() -> dashboard.Dashboard:
    page = (
        board.begin(
            FLEET.uid,
            "MLflow fleet",
            "Every model that has an alias, the one with most trouble first: alerts, drift, data quality, "
            "quality against its baseline, labels, traffic, age.",
        )
        .with_variable(_filter("team", "Team", ""))
        .with_variable(_filter("alias", "Alias", among("team")))
        .with_variable(
            builders.CustomVariable("severity")
            .label("Alerts")
            .values("Any : 0,Warning or critical : 1,Critical : 2")
            .current(dashboard.VariableOption(text="Any", value="0", selected=True))
        )
        .with_variable(board.window())
        .with_variable(
            board.of_query("worst", "Worst", q.worst(25), "model")
            .include_all(True)
            .current(dashboard.VariableOption(text="All", value="$__all", selected=True))
            .hide(dashboard.VariableHide.HIDE_VARIABLE)
        )
    )
    for mark in (marks.remediations(_ANY), marks.retrainings(_ANY), marks.reports(_ANY)):
        # Of a hundred models they are too many, until somebody asks for them.
        page = page.annotation(mark.enable(False))
    return board.finish(page, SECTIONS)


def _filter(name: str, label: str, selector: str) -> builders.QueryVariable:
    """The choice of a label of aliases; All, which includes those without it, by default."""
    return board.with_all(board.of_label(name, label, "mlflow_model_alias_info", selector))
