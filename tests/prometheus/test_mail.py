"""Mails, rendered by Alertmanager's own tool from alerts in Alertmanager's own form."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from tests.prometheus.conftest import RUNBOOK, Alert, Render, alert

pytestmark = pytest.mark.needs("amtool")

EXPORTER = "http://localhost:19464"
REPORT = f"{EXPORTER}/models/flights/versions/3/reports/latest?at=1795428245"


class Page(HTMLParser):
    """Texts and link targets of an HTML document, as a reader gets them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name == "href" and value]


def test_subject_names_severity_alert_version_and_columns(render: Render) -> None:
    subject = render("subject", [alert("carrier"), alert("dep_delay")])
    assert subject == "[warning] ModelFeatureDrift in flights v3: carrier, dep_delay"


def test_subject_names_three_columns_at_most(render: Render) -> None:
    subject = render("subject", [alert(column) for column in "abcde"])
    assert subject == "[warning] ModelFeatureDrift in flights v3: a, b, c and 2 more"


def test_subject_names_the_check_that_values_fail(render: Render) -> None:
    broken = alert(
        "air_time", check="out_of_range", alertname="ModelDataQualityDegraded", severity="critical"
    )
    assert (
        render("subject", [broken])
        == "[critical] ModelDataQualityDegraded in flights v3: air_time out of range"
    )


def of_two_versions(*columns: str) -> list[Alert]:
    """The same columns of champion and challenger."""
    alerts = [alert(column, model_version=version) for column in columns for version in ("3", "4")]
    for each in alerts:
        champion = each["labels"]["model_version"] == "3"
        each["annotations"]["aliases"] = "champion, shadow" if champion else "challenger"
    return alerts


def test_subject_names_each_version_and_each_column_once(render: Render) -> None:
    subject = render("subject", of_two_versions("carrier", "dep.delay (min)", "dep_delay (min)", "é", "e"))
    version, _, columns = subject.partition(": ")
    assert version == "[warning] ModelFeatureDrift in flights v3, v4"
    assert columns == "carrier, dep.delay (min), dep_delay (min) and 2 more"


def test_subject_names_a_column_once_although_its_importance_differs_by_version(render: Render) -> None:
    alerts = of_two_versions("a", "b")
    for each, importance in zip(alerts, ("10", "08", "09", "03"), strict=True):
        each["annotations"]["importance"] = importance
    assert render("subject", alerts).endswith(": a, b")


def test_text_of_several_versions_tells_which_serves_as_what(render: Render) -> None:
    lines = render("text", of_two_versions("carrier")).splitlines()
    assert lines[1] == "flights v3, v4, serving as champion, shadow (v3), challenger (v4)"
    assert {"- Summary of flights v3 carrier.", "- Summary of flights v4 carrier."} <= set(lines)


def test_html_tells_the_version_of_each_row_where_there_are_several(render: Render) -> None:
    texts = Page(render("html", of_two_versions("carrier"))).texts
    start = texts.index("Since")
    assert texts[start + 1 : start + 3] == ["carrier", "v3"]
    assert texts[start + 6 : start + 8] == ["carrier", "v4"]
    assert "champion, shadow (v3), challenger (v4)" in texts
    assert "v3" not in Page(render("html", [alert("carrier"), alert("dep_delay")])).texts


def test_report_of_several_versions_is_that_of_the_first(render: Render) -> None:
    assert f"Report: {REPORT}" in render("text", of_two_versions("carrier"))


@pytest.mark.parametrize("part", ["html", "text"])
def test_a_link_to_the_comparison_of_versions_is_offered_where_an_alert_has_it(
    part: str, render: Render
) -> None:
    worse = alert(alertname="ModelQualityDegraded", metric="accuracy")
    url = "http://localhost:3000/d/mlflow-versions?var-model=flights"
    assert "Versions" not in render(part, [worse])
    worse["annotations"]["versions_url"] = url
    content = render(part, [worse])
    assert url in (Page(content).links if part == "html" else re.findall("Versions: (.*)", content))


def test_subject_names_the_namespace_where_there_is_one(render: Render) -> None:
    subject = render("subject", [alert("carrier", namespace="prod")])
    assert subject == "[warning] ModelFeatureDrift in flights v3 (prod): carrier"


def test_subject_of_an_alert_on_all_versions_names_the_model(render: Render) -> None:
    stopped = alert(alertname="ModelLabelsStopped", model_version="")
    assert render("subject", [stopped]) == "[warning] ModelLabelsStopped in flights"


def test_subject_names_metrics_and_segments(render: Render) -> None:
    worse = alert(alertname="ModelSegmentQualityDegraded", metric="accuracy", segment="country=DE")
    subject = render("subject", [worse])
    assert subject == "[warning] ModelSegmentQualityDegraded in flights v3: country=DE accuracy"


def test_subject_tells_resolved_from_firing(render: Render) -> None:
    gone = [alert("carrier", resolved=True), alert("dep_delay", resolved=True)]
    assert render("subject", gone) == "[resolved] ModelFeatureDrift in flights v3: carrier, dep_delay"


def test_subject_leaves_out_what_is_resolved_while_something_fires(render: Render) -> None:
    subject = render("subject", [alert("carrier", resolved=True), alert("dep_delay")])
    assert subject == "[warning] ModelFeatureDrift in flights v3: dep_delay"


def test_subject_counts_versions_where_a_mail_is_on_several(render: Render) -> None:
    stale = [alert(alertname="MLflowExporterEvaluationStale", model=model) for model in ("a", "b")]
    assert render("subject", stale) == "[warning] MLflowExporterEvaluationStale: 2 model versions"


def test_subject_of_an_alert_without_a_version_is_its_name(render: Render) -> None:
    down = alert(alertname="MLflowExporterDown", severity="critical", model="", model_version="")
    assert render("subject", [down]) == "[critical] MLflowExporterDown"


def test_subject_of_an_alert_without_severity_is_whole(render: Render) -> None:
    assert render("subject", [alert("carrier", severity="")]).startswith("[firing] ModelFeatureDrift")


def test_text_has_every_summary_its_time_its_link_and_what_to_do(render: Render) -> None:
    assert render("text", [alert("carrier"), alert("dep_delay")]).splitlines() == [
        "Model Feature Drift [warning]",
        "flights v3, serving as champion, shadow",
        "",
        "- Summary of flights v3 carrier.",
        "  since 23 Nov 10:04 UTC",
        "  http://localhost:3000/d/mlflow-model?var-model=flights&var-column=carrier",
        "- Summary of flights v3 dep_delay.",
        "  since 23 Nov 10:04 UTC",
        "  http://localhost:3000/d/mlflow-model?var-model=flights&var-column=dep_delay",
        "",
        "What to do.",
        "",
        f"Report: {REPORT}",
        f"Runbook: {RUNBOOK}",
        "Silence: http://localhost:9093/#/silences/new?filter=%7Balertname%3D%22ModelFeatureDrift%22"
        "%2C%20model%3D%22flights%22%7D",
    ]


def test_text_of_the_end_says_how_long_it_took_and_asks_for_nothing(render: Render) -> None:
    text = render("text", [alert("carrier", resolved=True)])
    assert "from 23 Nov 10:04 to 23 Nov 11:30 UTC" in text
    assert "What to do." not in text


def test_text_sets_apart_what_is_resolved(render: Render) -> None:
    lines = render("text", [alert("carrier", resolved=True), alert("dep_delay")]).splitlines()
    assert (
        lines.index("- Summary of flights v3 dep_delay.")
        < lines.index("Resolved")
        < lines.index("- Summary of flights v3 carrier.")
    )


def test_html_is_a_table_of_columns_with_their_figures(render: Render) -> None:
    texts = Page(render("html", [alert("carrier"), alert("dep_delay")])).texts
    start = texts.index("Column")
    assert texts[start : start + 12] == [
        "Column", "Observed", "Expected", "Since",
        "carrier", "PSI 0.412", "at most 0.153 over 24h", "23 Nov 10:04 UTC",
        "dep_delay", "PSI 0.412", "at most 0.153 over 24h", "23 Nov 10:04 UTC",
    ]  # fmt: skip
    assert {"Model Feature Drift", "champion, shadow", "What to do."} <= set(texts)


def test_html_of_metrics_is_a_table_as_well(render: Render) -> None:
    worse = [alert(alertname="ModelQualityDegraded", metric=metric) for metric in ("accuracy", "recall")]
    texts = Page(render("html", worse)).texts
    start = texts.index("Metric")
    assert texts[start + 4 : start + 7] == ["accuracy", "PSI 0.412", "at most 0.153 over 24h"]


@pytest.mark.parametrize("part", ["html", "text"])
@pytest.mark.parametrize("labels", [{}, {"alertname": "MLflowExporterEvaluationStale"}])
def test_of_many_alerts_twenty_are_listed(part: str, labels: dict[str, str], render: Render) -> None:
    names = [f"name_{number:03}" for number in range(200)]
    key = "model" if labels else "column"
    content = render(part, [alert(**{key: name}, **labels) for name in names])
    assert "name_019" in content
    assert "name_020" not in content
    assert "and 180 more" in content


def test_html_without_columns_is_a_list_of_summaries(render: Render) -> None:
    stale = [alert(alertname="MLflowExporterEvaluationStale", model=model) for model in ("a", "b")]
    texts = Page(render("html", stale)).texts
    assert {"Summary of a v3 .", "Summary of b v3 ."} <= set(texts)
    assert "Column" not in texts


def test_html_links_to_each_column_the_dashboard_the_report_the_runbook_and_a_silence(render: Render) -> None:
    links = Page(render("html", [alert("carrier"), alert("dep_delay")])).links
    dashboard = "http://localhost:3000/d/mlflow-model?var-model=flights&var-column="
    silence = '{alertname="ModelFeatureDrift", model="flights"}'
    assert links[:5] == [
        f"{dashboard}carrier", f"{dashboard}dep_delay", f"{dashboard}carrier", REPORT, RUNBOOK,
    ]  # fmt: skip
    assert unquote(links[5]) == f"http://localhost:9093/#/silences/new?filter={silence}"


def test_html_takes_names_as_text(render: Render) -> None:
    page = Page(render("html", [alert("<b>&amp;", model="a & <i>b</i>")]))
    assert "<b>&amp;" in page.texts
    assert "a & <i>b</i> v3, serving as" in page.texts
    assert 'model="a & <i>b</i>"' in unquote(page.links[-1])


@pytest.mark.parametrize("part", ["html", "text"])
def test_the_report_is_that_of_a_version_whatever_its_name(part: str, render: Render) -> None:
    content = render(part, [alert("carrier", model="a & <c>?")])
    links = Page(content).links if part == "html" else re.findall("Report: (.*)", content)
    assert f"{EXPORTER}/models/a%20%26%20%3Cc%3E%3F/versions/3/reports/latest?at=1795428245" in links


@pytest.mark.parametrize("part", ["html", "text"])
def test_without_a_version_the_state_of_all_models_is_linked(part: str, render: Render) -> None:
    stopped = alert(alertname="ModelLabelsStopped", model_version="")
    content = render(part, [stopped])
    links = Page(content).links if part == "html" else re.findall("Report: (.*)", content)
    assert f"{EXPORTER}/" in links


IMPORTANT = {
    "a": "03",
    "b": "",
    "c": "71",
    "d": "00",
    "e": "26",
}  # in the order in which they come


def important_alerts() -> list[Alert]:
    alerts = [alert(column) for column in IMPORTANT]
    for each, importance in zip(alerts, IMPORTANT.values(), strict=True):
        each["annotations"]["importance"] = importance
    return alerts


def test_features_come_in_the_order_of_their_importance(render: Render) -> None:
    alerts = important_alerts()
    assert render("subject", alerts).endswith(": c, e, a and 2 more")
    lines = [line for line in render("text", alerts).splitlines() if line.startswith("- ")]
    assert lines == [
        "- Summary of flights v3 c. Importance: 71 %.",
        "- Summary of flights v3 e. Importance: 26 %.",
        "- Summary of flights v3 a. Importance: 3 %.",
        "- Summary of flights v3 d. Importance: 0 %.",
        "- Summary of flights v3 b.",
    ]
    texts = Page(render("html", alerts)).texts
    assert [text for text in texts if text in IMPORTANT] == ["c", "e", "a", "d", "b"]
    assert texts[texts.index("c") + 1] == "importance 71 %"


@pytest.mark.parametrize("part", ["html", "text"])
def test_the_twenty_most_important_of_many_are_listed(part: str, render: Render) -> None:
    alerts = [alert(f"name_{number:03}") for number in range(100)]
    for number, each in enumerate(alerts):
        each["annotations"]["importance"] = f"{number:02}"
    content = render(part, alerts)
    assert "name_080" in content
    assert "name_079" not in content
    assert "and 80 more" in content
