"""Shows the demo: a live table at a terminal, a line per change anywhere else."""

from __future__ import annotations

import math
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from exporter.demo.mailbox import Mail
from exporter.demo.observation import Alert, Figure, Finding, Quality, Remediation, Report
from exporter.formats.texts import listed

STYLES = {"healthy": "green", "recovery": "green", "incident": "bold red"}
TEXT_WIDTH = 90


@dataclass(frozen=True)
class View:
    """Everything that is shown at a moment."""

    phase: str
    story: str
    findings: Sequence[Finding] = ()
    quality: Sequence[Quality] = ()
    alerts: Sequence[Alert] = ()
    remediations: Sequence[Remediation] = ()
    reports: Sequence[Report] = ()
    mails: Sequence[Mail] = ()


class Screen(Protocol):
    """Shows views; `say` prints a text that stays."""

    def __enter__(self) -> Screen: ...

    def __exit__(self, *error: object) -> None: ...

    def show(self, view: View) -> None: ...

    def say(self, text: str) -> None: ...


def open_screen() -> Screen:
    console = Console(highlight=False)
    return LiveScreen(console) if console.is_terminal else PlainScreen(console)


# -- at a terminal ------------------------------------------------------------------------------------------


class LiveScreen:
    """A table that changes in place; mails and texts stay above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._started = time.monotonic()
        self._mails_shown = 0

    def __enter__(self) -> LiveScreen:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def show(self, view: View) -> None:
        for mail in view.mails[self._mails_shown :]:
            self._console.print(_mail_panel(mail))
        self._mails_shown = len(view.mails)
        self._live.update(_render(view, int(time.monotonic() - self._started)), refresh=True)


def _mail_panel(mail: Mail) -> Panel:
    return Panel(
        Text(wrap(mail.text)),
        title=Text(f"✉ {mail.subject}", style="bold"),
        title_align="left",
        border_style="yellow",
        subtitle=f"{mail.received:%H:%M:%S} UTC",
        padding=(1, 2),
    )


def _render(view: View, seconds: int) -> RenderableType:
    head = Text.assemble(
        (f"{seconds // 60}:{seconds % 60:02}  ", "dim"),
        (view.phase, STYLES.get(view.phase, "bold cyan")),
        f"  {view.story}",
    )
    mails = [Text(f"  {mail.received:%H:%M:%S}  {mail.subject}") for mail in view.mails]
    tables = (
        _findings_table(view.findings),
        _quality_table(view.quality),
        _alerts_table(view.alerts),
        _remediations_table(view.remediations),
        _reports_table(view.reports),
        Group(Text("mails", style="dim"), *mails) if mails else None,
    )
    parts = [part for table in tables if table is not None for part in (Text(), table)]
    return Group(Text(), head, *parts, Text(), Text("Ctrl-C ends everything", style="dim"))


def _table(left: Sequence[str], right: Sequence[str], last: str = "") -> Table:
    """Return an empty table with left-aligned, right-aligned and a last left-aligned column."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in left:
        table.add_column(heading)
    for heading in right:
        table.add_column(heading, justify="right")
    if last:
        table.add_column(last)
    return table


def _findings_table(findings: Sequence[Finding]) -> Table | None:
    table = _table(("column", "measure"), ("measured", "compared with", "over"), "verdict")
    for found in findings:
        if found.measure != "PSI" and not found.verdict:
            continue  # of the checks, which are many, only those that fail
        style = "bold red" if found.verdict else ""
        verdict = Text(_verdict(found))
        table.add_row(found.column, found.measure, *_limits(found), found.over, verdict, style=style)
    return table if findings else None


def _quality_table(quality: Sequence[Quality]) -> Table | None:
    table = _table(("quality", "version"), ("estimated", "real", "baseline", "labels", "over"))
    metric = ""
    for found in quality:
        estimated, real = (
            Text(_figure(each.value), style="bold red" if each.degraded else "")
            for each in (found.estimated, found.real)
        )
        table.add_row(
            found.metric if found.metric != metric else "",
            f"v{found.version} {found.alias}",
            estimated,
            real,
            _figure(found.baseline),
            _share(found.coverage),
            found.over,
        )
        metric = found.metric
    return table if quality else None


def _alerts_table(alerts: Sequence[Alert]) -> Table | None:
    table = _table(("alert", "about", "severity", "state"), ())
    for alert in alerts:
        style = "bold red" if alert.state == "firing" else "yellow"
        table.add_row(alert.name, alert.subject, alert.severity, Text(alert.state, style=style))
    return table if alerts else None


def _remediations_table(remediations: Sequence[Remediation]) -> Table | None:
    table = _table(("remediation", "about", "state"), (), "reason")
    for found in remediations:
        table.add_row(found.action, found.about, Text(found.state), Text(found.reason))
    return table if remediations else None


def _reports_table(reports: Sequence[Report]) -> Table | None:
    table = _table(("report", "state"), (), "because of")
    for found in reports:
        table.add_row(f"v{found.version}", _report_state(found), Text(found.reason))
    return table if reports else None


# -- anywhere else ------------------------------------------------------------------------------------------


class PlainScreen:
    """A line per change, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._before = View("", "")

    def __enter__(self) -> PlainScreen:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def show(self, view: View) -> None:
        view = settle(self._before, view)
        for line in changes(self._before, view):
            self.say(f"{int(time.monotonic() - self._started):4} s  {line}")
        for mail in view.mails[len(self._before.mails) :]:
            self.say(f"\n{textwrap.indent(wrap(mail.text), '    ')}\n")
        self._before = view


def settle(before: View, now: View) -> View:
    """Return the view, with the last verdict wherever it has none, as happens while windows fill."""
    verdicts = {(found.column, found.measure): found.verdict for found in before.findings}
    findings = [
        replace(found, verdict=verdicts.get((found.column, found.measure)))
        if found.verdict is None
        else found
        for found in now.findings
    ]
    known = _quality_by_metric(before)
    for key, found in _quality_by_metric(now).items():
        last = known.get(key, found)
        estimated, real = _settle(last.estimated, found.estimated), _settle(last.real, found.real)
        known[key] = replace(found, estimated=estimated, real=real)
    return replace(now, findings=findings, quality=list(known.values()))


def _settle(before: Figure, now: Figure) -> Figure:
    return replace(now, degraded=before.degraded) if now.degraded is None else now


def changes(before: View, now: View) -> list[str]:
    """Return a line for every change between two views."""
    lines = []
    if (before.phase, before.story) != (now.phase, now.story):
        lines.append(f"{now.phase}: {now.story}")
    was, is_now = ({(f.column, f.measure): f for f in view.findings if f.verdict} for view in (before, now))
    for key in [key for key in is_now if key not in was]:
        found = is_now[key]
        measured, compared = _limits(found)
        over = f" over {found.over}" if found.over else ""
        lines.append(f"{found.column}: {_verdict(found)}, {found.measure} {measured}{over}, {compared}")
    lines += [
        f"{column}: {measure} is normal again" for column, measure in sorted(was.keys() - is_now.keys())
    ]
    known = _quality_by_metric(before)
    for identity, quality in _quality_by_metric(now).items():
        lines += _quality_changes(known.get(identity), quality)
    lines += [f"{_about(alert)} {alert.state}" for alert in now.alerts if alert not in before.alerts]
    still = {_about(alert) for alert in now.alerts}
    lines += [f"{_about(alert)} over" for alert in before.alerts if _about(alert) not in still]
    lines += [
        f"remediation: {found.action} {found.about}: {found.state}"
        + (f", {found.reason}" if found.reason else "")
        for found in reversed(now.remediations)
        if found not in before.remediations
    ]
    lines += [
        f"report on v{found.version}, {found.reason}: {_report_state(found)}"
        for found in reversed(now.reports)
        if found not in before.reports
    ]
    lines += [f"mail: {mail.subject}" for mail in now.mails[len(before.mails) :]]
    return lines


def _quality_changes(before: Quality | None, now: Quality) -> list[str]:
    """Return lines on the first labelled figure, and on changed verdicts."""
    version, labels = f"v{now.version} {now.alias}", f"with {_share(now.coverage)} of the labels"
    over = f"over {now.over}, baseline {_figure(now.baseline)}"
    before = before or replace(now, estimated=Figure(math.nan, None), real=Figure(math.nan, None))
    lines = []
    if not math.isnan(now.real.value) and math.isnan(before.real.value):
        real, estimated = _figure(now.real.value), _figure(now.estimated.value)
        lines.append(f"{version}: {now.metric} {real} {over}, {labels}; {estimated} estimated")
    when = "as labels have shown" if before.real.degraded else "before the labels come"
    for name, was, figure, how in (
        (f"estimated {now.metric}", before.estimated, now.estimated, when),
        (now.metric, before.real, now.real, labels),
    ):
        if figure.degraded and not was.degraded:
            lines.append(f"{version}: {name} degraded, {_figure(figure.value)} {over}, {how}")
        elif was.degraded and not figure.degraded:
            lines.append(f"{version}: {name} not degraded any more, {_figure(figure.value)}")
    return lines


def _quality_by_metric(view: View) -> dict[tuple[str, str], Quality]:
    return {(found.version, found.metric): found for found in view.quality}


def _about(alert: Alert) -> str:
    return " ".join(part for part in ("alert", alert.name, alert.subject, f"({alert.severity}):") if part)


# -- wording ------------------------------------------------------------------------------------------------


def _limits(found: Finding) -> tuple[str, str]:
    """Return the measured value, and the limit or the share in the reference."""
    if found.measure == "PSI":
        return f"{found.measured:.3f}", f"limit {found.limit:.3f}"
    return f"{found.measured:.0%}", f"{found.limit:.0%} in the reference"


def _verdict(found: Finding) -> str:
    if found.measure != "PSI":
        return "degraded"
    return "undecided" if found.verdict is None else "drifted" if found.verdict else "stable"


def _report_state(report: Report) -> str:
    return f"{report.state}, in {listed(report.places, 3)}" if report.places else report.state


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"


def wrap(text: str) -> str:
    """Wrap paragraphs, except lines with a URL."""
    return "\n".join(
        line if "://" in line else textwrap.fill(line, TEXT_WIDTH, subsequent_indent=_indent(line))
        for line in text.splitlines()
    )


def _indent(line: str) -> str:
    return " " * (len(line) - len(line.lstrip(" -")))
