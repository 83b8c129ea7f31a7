"""One line for each alias of each model, and the models' states over time."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common

from fleet import queries as q

_WORDS = {
    q.CRITICAL: ("critical", look.BAD),
    q.WARNING: ("warning", look.BEYOND),
    q.VERDICT: ("verdict", look.NEAR),
    q.WATCH: ("watch", look.NEAR),
    q.SILENT: ("silent", look.UNKNOWN),
    q.STALE: ("stale", look.UNKNOWN),
    q.NOT_JUDGED: ("not judged", look.UNKNOWN),
    q.WELL: ("well", look.GOOD),
}
_NOTHING = "No figures: no model with an alias, figures that are late, or the exporter is down."


def head() -> Iterator[panels.Panel]:
    """Models by state, alerts, and whether both can be trusted."""
    states = panels.numbers(
        "Models by state",
        "Aliases of models by state, the worst that holds. Verdict: a bad verdict without an alert, as "
        "before it lasts. Watch: an alert is pending, or a figure is beyond its limit without a verdict. "
        "Silent: predictions are missing for longer than the past explains. Stale: not evaluated. Not "
        "judged: no reference, or too little data.",
        q.STATES,
        "{{state}}",
        {},
        size=(12, 4),
        nothing=_NOTHING,
    )
    for state, (word, color) in _WORDS.items():
        states = states.override_by_name(
            str(state), [look.of_field("displayName", word), look.painted(color)]
        )
    yield states
    for title, state, severity, color in (
        ("Critical", "firing", "critical", look.BAD),
        ("Warnings", "firing", "warning", look.BEYOND),
        ("Pending", "pending", "warning|critical", look.NEAR),
    ):
        yield panels.count_of_bad(
            title,
            f"Alerts about models that are {state} in Prometheus. Unknown: no rules are loaded, or there "
            "are no models.",
            q.total(severity, state),
            color,
            size=(3, 4),
            nothing="Unknown",
        )
    yield panels.number(
        "Exporter",
        "The exporter is scraped, and MLflow answers it. If not, this page shows the past or nothing.",
        q.EXPORTER,
        unit="none",
        words={
            1: ("Up", look.GOOD),
            0: ("MLflow down", look.BEYOND),
            -1: ("Down", look.BEYOND),
        },
        size=(3, 4),
    ).data_links([builders.DashboardLink("Exporter").url(links.url(links.EXPORTER))])


def rows() -> Iterator[panels.Panel]:
    """The table."""
    table = tables.of(
        "Models by trouble, $window",
        "Each alias of each model. Trouble: 1000 for each critical alert, 100 for each warning, 50 for each "
        "degraded metric, 50 times the share of drifted columns, 10 for each failing check, 10 times the "
        "shortfall up to five, 50 for silence. The worst column is in multiples of its limit. Quality is of "
        "the metric that is furthest below its baseline, the shortfall in multiples of the accepted one. "
        "Each cell leads to what explains it.",
        *_identity(),
        *_alerts(),
        *_columns(),
        *_quality(),
        *_traffic(),
        tables.Key("team", "Team", [*_link(links.FLEET, team=links.VALUE), *_width(78)]),
        order="Trouble",
        descending=True,
        unit="none",
        decimals=3,
        size=(24, 22),
        nothing=_NOTHING,
    )
    yield table.id(links.FLEET.id("models"))


def _identity() -> Iterator[tables.Key | tables.Column]:
    yield tables.Key("model", "Model", [*_link(links.MODEL), look.at_least(116)])
    yield tables.Key("alias", "Alias", [*_link(links.VERSIONS), *_width(82)])
    yield tables.Key("model_version", "V", [*_link(links.MODEL), *_width(40)])


def _alerts() -> Iterator[tables.Column]:
    to_alerts = _link(links.ALERTS, panel="fired")
    yield tables.Column("State", q.STATE, [*look.worded(_WORDS), *_width(80), *_link(links.MODEL)])
    yield tables.Column("Trouble", q.ROWS, [*look.column(68, 0), *to_alerts], required=True)
    yield tables.Column("Alerts", q.FIRING, [*look.counted(), *_width(58), *to_alerts])
    yield tables.Column("Pending", q.PENDING, [*look.column(72, 0), *to_alerts])


def _columns() -> Iterator[tables.Column]:
    to_columns = _link(links.MODEL, panel="columns")
    yield tables.Column("Drifted", q.DRIFTED, [*look.counted(), *_width(62), *to_columns])
    yield tables.Column("Judged", q.JUDGED, [*look.column(62, 0), *to_columns])
    to_column = _link(links.COLUMN, column=links.cell("Worst column"))
    named = tables.Key("column", "Worst column", [*to_column, look.at_least(100)])
    yield tables.Column("\u00d7 limit", q.WORST_COLUMN, [*_multiples(64), *to_column], also=[named])
    to_checks = _link(links.MODEL, panel="checks")
    yield tables.Column("Bad data", q.FAILING, [*look.counted(), *_width(76), *to_checks])


def _quality() -> Iterator[tables.Column]:
    to_metric = _link(links.MODEL, panel="quality", metric=links.cell("Metric"))
    named = tables.Key("metric", "Metric", [*to_metric, look.at_least(76)])
    yield tables.Column("Quality", q.QUALITY, [*look.column(64), *to_metric], also=[named])
    yield tables.Column("Baseline", q.BASELINE, [*look.column(74), *to_metric])
    yield tables.Column("Shortfall", q.SHORTFALL, [*_multiples(74), *to_metric])
    to_coverage = _link(links.MODEL, panel="label coverage")
    yield tables.Column("Labels", q.COVERAGE, [*look.measured("percentunit", 62, 0), *to_coverage])


def _traffic() -> Iterator[tables.Column]:
    to_traffic = _link(links.MODEL, panel="traffic")
    yield tables.Column("Rows/h", q.TRAFFIC, [*look.measured("short", 68), *to_traffic])
    yield tables.Column("Last row", q.SINCE_PREDICTION, [*look.measured("s", 72, 0), *to_traffic])
    yield tables.Column("Age", q.AGE, [*look.measured("s", 66, 0), *_link(links.VERSIONS)])


def over_time() -> Iterator[panels.Panel]:
    """The states of the models over time."""
    timeline = panels.timeline(
        "Worst state of each model, 25 with most trouble",
        "Since when a model has been in trouble: the worst state that held at the time, as in the table "
        "above. A click leads to the model.",
        q.STATE_OVER_TIME,
        "{{model}}",
        unit="none",
        size=(24, 16),
        nothing=_NOTHING,
    ).mappings(look.texts(_WORDS))
    yield (
        timeline.max_data_points(200)
        .show_value(common.VisibilityMode.AUTO)
        .data_links(
            [
                builders.DashboardLink("Open the model").url(
                    links.url(links.MODEL, "window", model=links.label("model"))
                )
            ]
        )
        .id(links.FLEET.id("worst"))
    )


def _link(page: links.Page, panel: str = "", **variables: str) -> list[panels.Property]:
    """A link that keeps the model of the row, and its version where the page is of one."""
    row = {"model": links.cell("Model"), "model_version": links.cell("V")}
    kept = {links.ALERTS.uid: ()}.get(page.uid, ("window",))
    taken = {links.FLEET.uid: (), links.VERSIONS.uid: ("model",), links.ALERTS.uid: ("model",)}
    of_row = {name: row[name] for name in taken.get(page.uid, ("model", "model_version"))}
    return tables.link("Explain", page, *kept, panel=panel, **of_row, **variables)


def _width(pixels: int) -> list[panels.Property]:
    return [look.of_field("custom.width", pixels)]


def _multiples(width: int) -> list[panels.Property]:
    """Multiples of a limit, on the colour that they have everywhere."""
    return [
        *look.measured(look.TIMES, width, 1),
        look.stepped(look.steps("transparent", (0.75, look.NEAR), (1, look.BEYOND))),
        look.ground(),
    ]
