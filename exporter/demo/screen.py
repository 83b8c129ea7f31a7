"""What the person in front of the demo sees: a live table at a terminal, lines on changes everywhere else."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from exporter.demo.changes import View, changes, settle
from exporter.demo.mailbox import Mail
from exporter.demo.observation import Alert, Figure, Finding, Quality
from exporter.demo.wording import describe_figure, describe_limits, describe_share, describe_verdict, wrap

STYLES = {"healthy": "green", "recovery": "green", "incident": "bold red"}


class Screen(Protocol):
    """Shows views; `say` prints something that stays."""

    def __enter__(self) -> Screen: ...

    def __exit__(self, *error: object) -> None: ...

    def show(self, view: View) -> None: ...

    def say(self, text: str) -> None: ...


def open_screen() -> Screen:
    """A live table where there is a terminal, plain lines where there is none."""
    console = Console(highlight=False)
    return LiveScreen(console) if console.is_terminal else PlainScreen(console)


# -- at a terminal ------------------------------------------------------------------------------------------


class LiveScreen:
    """A table that changes in place; mails and messages stay above it."""

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
            self._console.print(mail_panel(mail))
        self._mails_shown = len(view.mails)
        self._live.update(render(view, time.monotonic() - self._started), refresh=True)


def mail_panel(mail: Mail) -> Panel:
    return Panel(
        Text(wrap(mail.text)),
        title=Text(f"✉ {mail.subject}", style="bold"),
        title_align="left",
        border_style="yellow",
        subtitle=f"{mail.received:%H:%M:%S} UTC",
        padding=(1, 2),
    )


def render(view: View, elapsed_seconds: float) -> RenderableType:
    """The part of the screen that changes in place."""
    head = Text.assemble(
        (f"{int(elapsed_seconds) // 60}:{int(elapsed_seconds) % 60:02}  ", "dim"),
        (view.phase, STYLES.get(view.phase, "bold cyan")),
        f"  {view.story}",
    )
    parts: list[RenderableType] = [Text(), head]
    if view.findings:
        parts += [Text(), _findings_table(view.findings)]
    if view.quality:
        parts += [Text(), _quality_table(view.quality)]
    if view.alerts:
        parts += [Text(), _alerts_table(view.alerts)]
    if view.mails:
        parts += [Text(), Text("mails", style="dim")]
        parts += [Text(f"  {mail.received:%H:%M:%S}  {mail.subject}") for mail in view.mails]
    return Group(*parts, Text(), Text("Ctrl-C ends everything", style="dim"))


def _findings_table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in ("column", "measure"):
        table.add_column(heading)
    for heading in ("measured", "compared with"):
        table.add_column(heading, justify="right")
    table.add_column("over", justify="right")
    table.add_column("verdict")
    for finding in findings:
        if finding.measure != "PSI" and not finding.verdict:
            continue  # of the checks, which are many, only those that fail
        style = "bold red" if finding.verdict else ""
        table.add_row(
            finding.column,
            finding.measure,
            *describe_limits(finding),
            finding.over,
            Text(describe_verdict(finding)),
            style=style,
        )
    return table


def _quality_table(quality: Sequence[Quality]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in ("quality", "version"):
        table.add_column(heading)
    for heading in ("estimated", "real", "promised", "labels", "over"):
        table.add_column(heading, justify="right")
    metric = ""
    for found in quality:
        table.add_row(
            found.metric if found.metric != metric else "",
            f"v{found.version} {found.alias}",
            _styled(found.estimated),
            _styled(found.real),
            describe_figure(found.promised),
            describe_share(found.coverage),
            found.over,
        )
        metric = found.metric
    return table


def _styled(figure: Figure) -> Text:
    return Text(describe_figure(figure.value), style="bold red" if figure.degraded else "")


def _alerts_table(alerts: Sequence[Alert]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in ("alert", "about", "severity", "state"):
        table.add_column(heading)
    for alert in alerts:
        style = "bold red" if alert.state == "firing" else "yellow"
        table.add_row(alert.name, alert.subject, alert.severity, Text(alert.state, style=style))
    return table


# -- everywhere else ----------------------------------------------------------------------------------------


@dataclass
class PlainScreen:
    """A line for every change, with the seconds since the start."""

    console: Console
    _started: float = field(default_factory=time.monotonic)
    _before: View = field(default_factory=lambda: View("", ""))

    def __enter__(self) -> PlainScreen:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def show(self, view: View) -> None:
        view = settle(self._before, view)
        for line in changes(self._before, view):
            self.say(f"{int(time.monotonic() - self._started):4} s  {line}")
        for mail in view.mails[len(self._before.mails) :]:
            self.say(f"\n{textwrap.indent(wrap(mail.text), '    ')}\n")
        self._before = view
