"""Messages to Slack, rendered by Alertmanager's own tool."""

from __future__ import annotations

import re

import pytest

from tests.prometheus.conftest import RUNBOOK, Alert, Render, alert

pytestmark = pytest.mark.needs("amtool")

DASHBOARD = "http://localhost:3000/d/mlflow-model?var-model=flights&var-column="
# Beyond either Slack folds a text.
LINE_BREAKS, CHARACTERS = 5, 700


def accuracy(**labels: str) -> Alert:
    return alert(alertname="ModelQualityDegraded", metric="accuracy", **labels)


def test_title_names_severity_alert_version_and_columns(render: Render) -> None:
    title = render("slack.title", [alert("carrier"), alert("dep_delay")])
    assert title == "[warning] ModelFeatureDrift in flights v3: carrier, dep_delay"


@pytest.mark.parametrize(
    "alerts",
    [
        [alert("carrier")],
        [alert(column) for column in "abcde"],
        [alert("carrier", resolved=True), alert("dep_delay")],
        [alert("carrier", resolved=True)],
        [alert("carrier", check="out_of_range", severity="critical", namespace="prod")],
        [alert(alertname="MLflowExporterEvaluationStale", model=model) for model in ("a", "b")],
        [alert(alertname="MLflowExporterDown", model="", model_version="")],
        [accuracy(segment="country=DE")],
        [alert(alertname="ModelLabelsStopped", model_version="")],
        [alert(column, model_version=version) for column in "abcde" for version in ("3", "4")],
    ],
    ids=range(10),
)
def test_title_is_the_subject_of_the_mail(alerts: list[Alert], render: Render) -> None:
    assert render("slack.title", alerts) == render("subject", alerts)


def test_text_of_one_alert_is_its_summary(render: Render) -> None:
    assert render("slack.text", [alert("carrier")]) == "Summary of flights v3 carrier."


def test_text_of_several_columns_is_their_figures_with_links(render: Render) -> None:
    assert render("slack.text", [alert("carrier"), alert("dep_delay")]).splitlines() == [
        f"• <{DASHBOARD}carrier|carrier>: PSI 0.412, at most 0.153 over 24h",
        f"• <{DASHBOARD}dep_delay|dep_delay>: PSI 0.412, at most 0.153 over 24h",
    ]


def test_text_of_several_versions_is_their_summaries(render: Render) -> None:
    stale = [alert(alertname="MLflowExporterEvaluationStale", model=model) for model in ("a", "b")]
    assert render("slack.text", stale).splitlines() == ["• Summary of a v3 .", "• Summary of b v3 ."]


def test_text_tells_the_version_of_each_column_where_there_are_several(render: Render) -> None:
    alerts = [alert("carrier", model_version=version) for version in ("3", "4")]
    alerts[1]["annotations"]["aliases"] = "challenger"
    assert re.findall(r"\|([^>]+)>", render("slack.text", alerts)) == ["carrier v3", "carrier v4"]
    assert render("slack.footer", alerts) == "serving as champion, shadow (v3), challenger (v4)"


def test_text_offers_the_comparison_of_versions_where_an_alert_has_it(render: Render) -> None:
    worse = accuracy()
    url = "http://localhost:3000/d/mlflow-versions?var-model=flights"
    worse["annotations"]["versions_url"] = url
    assert render("slack.text", [worse]) == f"Summary of flights v3 . <{url}|Compare versions>"


def test_text_of_the_end_says_how_long_it_took(render: Render) -> None:
    text = render("slack.text", [alert("carrier", resolved=True)])
    assert text == "Summary of flights v3 carrier. From 23 Nov 10:04 to 23 Nov 11:30 UTC."


def test_text_tells_in_its_last_line_what_is_resolved_while_something_fires(render: Render) -> None:
    text = render("slack.text", [alert("carrier", resolved=True), alert("dep_delay")])
    assert text.splitlines() == ["Summary of flights v3 dep_delay.", "resolved: carrier"]


def test_text_is_short_enough_for_slack_to_show_all_of_it(render: Render) -> None:
    firing = [alert(f"column_{number}") for number in range(200)]
    text = render("slack.text", [*firing, *(alert(f"mended_{number}", resolved=True) for number in range(9))])
    assert text.count("\n") < LINE_BREAKS
    assert len(text) < CHARACTERS
    assert "and 197 more" in text
    assert "resolved: mended_0, mended_1, mended_2 and 6 more" in text


def test_long_names_and_sentences_are_cut(render: Render) -> None:
    long = alert("c" * 300, model="m" * 300)
    assert len(render("slack.title", [long])) < 250
    assert len(render("slack.text", [long])) < CHARACTERS


def test_names_are_text_and_not_markup(render: Render) -> None:
    strange = "<!channel> & `a|b` *c* _d_"
    written = "&lt;!channel&gt; &amp; `a|b` *c* _d_"  # the other marks are switched off
    assert f"in {written} v3: {written}" in render("slack.title", [alert(strange, model=strange)])
    assert f"|{written}>: PSI" in render("slack.text", [alert(strange), alert("x")])
    assert written in render("slack.text", [alert(strange)])


def test_figures_are_text_and_not_markup(render: Render) -> None:
    below = alert("x") | {"annotations": alert("x")["annotations"] | {"observed": "<5 & >3"}}
    assert ": &lt;5 &amp; &gt;3, at most" in render("slack.text", [below, alert("y")])


def test_footer_says_whom_it_concerns(render: Render) -> None:
    assert render("slack.footer", [alert("carrier")]) == "serving as champion, shadow"
    assert render("slack.footer", [alert("x", team="flights")]) == "serving as champion, shadow, team flights"


@pytest.mark.parametrize(
    ("alerts", "color"),
    [
        ([alert("a")], "warning"),
        ([alert("a", severity="critical")], "danger"),
        ([alert("a", severity="critical", resolved=True), alert("b", severity="critical")], "danger"),
        ([alert("a", severity="critical", resolved=True)], "good"),
    ],
)
def test_color_is_of_the_severity_until_the_end(alerts: list[Alert], color: str, render: Render) -> None:
    assert render("slack.color", alerts) == color


def test_buttons_lead_to_what_fires_and_its_runbook(render: Render) -> None:
    alerts = [alert("carrier", resolved=True), alert("dep_delay")]
    assert render("slack.dashboard", alerts) == f"{DASHBOARD}dep_delay"
    assert render("slack.runbook", alerts) == RUNBOOK


@pytest.mark.parametrize("button", ["slack.dashboard", "slack.runbook"])
def test_an_alert_without_links_has_no_empty_button(button: str, render: Render) -> None:
    assert render(button, [alert("x") | {"annotations": {}}]) == "http://localhost:9093"


def test_an_alert_without_a_summary_is_named(render: Render) -> None:
    assert render("slack.text", [alert("x") | {"annotations": {}}]) == "ModelFeatureDrift"


def test_every_link_is_well_formed(render: Render) -> None:
    text = render("slack.text", [alert(column) for column in "abc"])
    assert len(re.findall(r"<https?://[^|>\s]+\|[^<>]+>", text)) == text.count("<") == 3


def test_features_come_in_the_order_of_their_importance(render: Render) -> None:
    alerts = [alert(column) for column in "abcd"]
    for each, importance in zip(alerts, ("03", "", "71", "26"), strict=True):
        each["annotations"]["importance"] = importance
    assert render("slack.title", alerts).endswith(": c, d, a and 1 more")
    assert re.findall(r"\|(\w+)>", render("slack.text", alerts)) == ["c", "d", "a"]
