"""The dashboards that links lead to, their panels that are opened alone, and the links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Kept by every link: where the data is.
SCOPE = ("datasource", "cluster", "namespace", "job")
# Panels without an id of their own are numbered from here on.
FIRST_FREE_ID = 100


@dataclass(frozen=True)
class Page:
    """A dashboard, and the ids of its panels that links name, which rules and mails carry as well."""

    uid: str
    panels: Mapping[str, int] = field(default_factory=dict)

    def id(self, panel: str) -> int:
        return self.panels[panel]


FLEET = Page("mlflow-fleet", {"models": 1, "worst": 2})
MODEL = Page(
    "mlflow-model",
    {
        "columns": 2,
        "metrics": 3,
        "quality": 4,
        "traffic": 5,
        "alerts": 6,
        "checks": 7,
        "latency": 8,
        "label coverage": 33,
        "resources": 34,
        "lost rows": 35,
        "segments": 47,
    },
)
COLUMN = Page("mlflow-column", {"bad values": 6, "segments": 7})
VERSIONS = Page("mlflow-versions", {"moved": 5, "compared": 10, "over time": 20, "by age": 21})
ALERTS = Page(
    "mlflow-alerts", {"fired": 10, "actions": 20, "refusals": 21, "actions over time": 22, "deliveries": 23}
)
RUNS = Page("mlflow-runs")
EXPORTER = Page(
    "mlflow-exporter",
    {
        "replicas": 1,
        "mlflow": 2,
        "configuration": 3,
        "store used": 4,
        "lag": 5,
        "rows refused": 6,
        "versions left out": 7,
        "failures": 20,
        "missing partitions": 21,
        "shards missing": 40,
        "kafka lag": 41,
        "dead letters": 42,
        "leader": 43,
        "store failures": 30,
        "store size": 31,
    },
)

VALUE = "${__value.raw:percentencode}"  # also where a mapping shortens it


def cell(column: str) -> str:
    """Value of another column of the clicked row of a table."""
    return f'${{__data.fields["{column}"]:percentencode}}'


def label(name: str) -> str:
    """Value of a label of the clicked series."""
    return f"${{__field.labels.{name}:percentencode}}"


def url(page: Page, *kept: str, panel: str = "", **variables: str) -> str:
    """A link to a dashboard, or to one of its panels alone.

    The time range, the scope and the `kept` variables stay; `variables` are set, to `VALUE`, to a `cell`, to
    a `label` or to a word.
    """
    taken = [f"${{{name}:queryparam}}" for name in (*SCOPE, *kept)]
    given = [f"var-{name}={value}" for name, value in variables.items()]
    alone = [f"viewPanel={page.id(panel)}"] if panel else []
    return f"/d/{page.uid}?{'&'.join((*taken, *given, '${__url_time_range}', *alone))}"
