"""The demo at a person's machine: starts the stack and the traffic, and shows what happens until it ends."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from exporter.demo.changes import View
from exporter.demo.errors import DemoError
from exporter.demo.mailbox import Mail, Mailbox
from exporter.demo.observation import fetch, read_alerts, read_findings, read_quality, read_samples
from exporter.demo.pace import Pace
from exporter.demo.processes import Processes
from exporter.demo.screen import open_screen
from exporter.demo.stack import Addresses, Programs, Stack, claim_addresses, find_programs

LOOK_SECONDS = 1.0
# A busy machine may take minutes to train a model; the time until the mail is the point of the demo.
INCIDENT_LIMIT_SECONDS, MAIL_LIMIT_SECONDS = 900.0, 300.0
DRIFT_ALERT = "ModelFeatureDrift"
PHASES = ("training", "healthy", "incident", "recovery")
NOT_INSTALLED = (
    "Prometheus and Alertmanager are not both installed: there will be no alerts and no mails.\n"
    "On Debian or Ubuntu: apt-get install prometheus prometheus-alertmanager"
)
NO_GRAFANA = "Dashboards, to which mails link, need Grafana: `docker compose up` has one."


def demonstrate(pace: Pace, until_mail: bool) -> None:
    """Run the demo until it is interrupted or, with `until_mail`, until the mail of the drift has come.

    Raises:
        DemoError: something does not run as it should, or the mail did not come in time.
    """
    began, incident = time.monotonic(), None
    programs = find_programs()
    if until_mail and not programs.complete:
        raise DemoError(NOT_INSTALLED)
    with (
        claim_addresses() as addresses,
        open_screen() as screen,
        Mailbox(addresses.mail) as mailbox,
        Processes() as processes,
    ):
        screen.say(introduction(programs, addresses))
        stack = Stack(processes, programs, addresses, pace)
        try:
            while True:
                processes.check()
                stack.advance()
                screen.show(look(processes, programs, addresses, mailbox))
                now, traffic = time.monotonic(), processes.output("traffic")
                if incident is None and is_broken(traffic):
                    incident = now
                if until_mail and has_come(mailbox.mails, traffic):
                    screen.say(f"The mail came {now - began:.0f} seconds after the start.")
                    return
                if until_mail:
                    check_time(began, incident, now)
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            screen.say("Ending everything.")
            raise


def introduction(programs: Programs, addresses: Addresses) -> str:
    """What this is, and where to look."""
    places = [
        ("MLflow", addresses.url("mlflow")),
        ("Metrics", addresses.url("exporter") + "/metrics"),
        ("HTTP API", addresses.url("exporter") + "/docs"),
    ]
    if programs.complete:
        places += [
            ("Prometheus", addresses.url("prometheus") + "/alerts"),
            ("Alertmanager", addresses.url("alertmanager")),
        ]
    lines = [
        "A model that predicts which flights from New York arrive late, trained on January to March 2013,",
        "scores those that followed, a day in a few seconds, with a challenger in its shadow. What really",
        "happened is known days later. First all is well, then the input breaks.",
        "",
        *(f"  {name:<13} {url}" for name, url in places),
    ]
    note = NO_GRAFANA if programs.complete else NOT_INSTALLED
    return "\n".join([*lines, "", note])


def look(processes: Processes, programs: Programs, addresses: Addresses, mailbox: Mailbox) -> View:
    """What there is to see now; empty where nobody answers yet."""
    phase, story = read_phase(processes.output("traffic"))
    metrics = fetch(addresses.url("exporter") + "/metrics?collect[]=core")
    samples = read_samples(metrics) if metrics else []
    alerts = fetch(addresses.url("prometheus") + "/api/v1/alerts") if programs.complete else None
    return View(
        phase=phase,
        story=story,
        findings=read_findings(samples),
        quality=read_quality(samples),
        alerts=read_alerts(alerts) if alerts else (),
        mails=mailbox.mails,
    )


def read_phase(output: str) -> tuple[str, str]:
    """The phase that the traffic announced last, among whatever else it wrote, and its story."""
    announced = re.findall(rf"^({'|'.join(PHASES)}): (.+)$", output, flags=re.MULTILINE)
    return announced[-1] if announced else ("starting", "MLflow, the exporter and the traffic")


def is_broken(traffic_output: str) -> bool:
    """Whether the traffic has announced the incident."""
    return "\nincident: " in traffic_output


def check_time(began: float, incident: float | None, now: float) -> None:
    """Check that the incident, and then its mail, are not overdue; times in seconds of one clock.

    Raises:
        DemoError: one of them is.
    """
    if incident is None and now - began > INCIDENT_LIMIT_SECONDS:
        raise DemoError(f"no incident within {INCIDENT_LIMIT_SECONDS:.0f} seconds of the start")
    if incident is not None and now - incident > MAIL_LIMIT_SECONDS:
        raise DemoError(f"no mail of the drift within {MAIL_LIMIT_SECONDS:.0f} seconds of the incident")


def has_come(mails: Sequence[Mail], traffic_output: str) -> bool:
    """Whether the mail of the drift is there; one that says that all is well again is not it.

    Raises:
        DemoError: it was sent before anything was broken.
    """
    if not any(DRIFT_ALERT in mail.subject and not mail.subject.startswith("[resolved]") for mail in mails):
        return False
    if not is_broken(traffic_output):
        raise DemoError("a drift was reported before anything was broken")
    return True
