"""`mlflow-exporter demo`: the whole stack on this machine, or the traffic alone."""

from __future__ import annotations

import argparse
import os
import re
import signal
import time
from collections.abc import Sequence

from exporter.demo.mailbox import Mail, Mailbox
from exporter.demo.observation import (
    Report,
    fetch,
    follow,
    read_alerts,
    read_aliases,
    read_findings,
    read_quality,
    read_remediations,
    read_reports,
    read_samples,
)
from exporter.demo.operator import Operator
from exporter.demo.processes import Processes
from exporter.demo.scenario import MODEL, Pace
from exporter.demo.screen import View, open_screen
from exporter.demo.stack import Ports, Programs, Stack, find_ports, find_programs
from exporter.errors import DemoError

LOOK_SECONDS = 1.0
# A busy machine may take minutes to train a model; the time until the mail is the point of the demo.
INCIDENT_LIMIT_SECONDS, MAIL_LIMIT_SECONDS, LOOP_LIMIT_SECONDS = 900.0, 300.0, 900.0
# Evidently's UI may start after the first report, which is sent there again after one minute, two and four.
REPORT_LIMIT_SECONDS = 600.0
DRIFT_ALERT = "ModelFeatureDrift"
PLACES = 3  # where a report is to be: the exporter, MLflow, Evidently
PHASES = ("training", "healthy", "incident", "recovery")
NOT_INSTALLED = (
    "Prometheus and Alertmanager are not both installed: there will be no alerts and no mails.\n"
    "On Debian or Ubuntu: apt-get install prometheus prometheus-alertmanager"
)
FEED = "First the input is healthy, then it breaks. A rollback is rehearsed: see `remediation`."
RELEASE = (
    "Then a bad release becomes champion. It is rolled back, and a better model is trained and promoted."
)
NO_GRAFANA = "Dashboards, to which mails link, need Grafana: `docker compose up` has one."


def run(options: argparse.Namespace) -> int:
    """Run until Ctrl-C, SIGTERM or the end that the options name; return the exit status.

    Raises:
        DemoError: something does not run as it should, or did not happen in time.
    """
    # OpenMP's threads spin while they wait for each other: with other processes on the same cores, two
    # threads train the model twenty times slower than one. Read when scikit-learn is imported.
    os.environ["OMP_NUM_THREADS"] = "1"
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays in force
            signal.signal(number, signal.default_int_handler)
    pace = Pace.of_speed(options.speed)
    try:
        if options.traffic_only:
            from exporter.demo.scorer import run_scorer

            run_scorer(options.exporter, pace, remediate=options.remediate)
        else:
            demonstrate(pace, options.until_mail, options.remediate)
    except KeyboardInterrupt:
        return 130 if options.until_mail or options.remediate else 0
    return 0


def demonstrate(pace: Pace, until_mail: bool, remediate: bool) -> None:
    """Start the stack and show what happens: until the mail, until the promotion, or forever.

    Raises:
        DemoError: something does not run as it should, or did not happen in time.
    """
    began, incident, mailed = time.monotonic(), None, None
    programs, ports = find_programs(), find_ports()
    if (until_mail or remediate) and not programs.complete:
        raise DemoError(NOT_INSTALLED)
    with open_screen() as screen, Mailbox(ports.mail) as mailbox, Processes() as processes:
        screen.say(introduction(programs, ports, remediate))
        stack = Stack(processes, programs, ports, pace, remediate=remediate)
        operator = None
        if stack.tokens is not None:
            token_file = stack.tokens.file("operator")
            operator = Operator(
                ports.url("exporter"), token_file, stack.store, ports.url("prometheus"), screen.say
            )
        try:
            while True:
                processes.check()
                stack.advance()
                traffic = processes.output("traffic")
                view = look(traffic, programs, ports, mailbox, stack.token)
                screen.show(view)
                now = time.monotonic()
                if incident is None and is_broken(traffic):
                    incident = now
                if until_mail and has_come(mailbox.mails, traffic):
                    if mailed is None:
                        mailed = now
                        screen.say(f"The mail came {mailed - began:.0f} seconds after the start.")
                    if not programs.evidently:
                        return
                    if is_reported(view.reports):
                        screen.say(f"Its link opens the report: {open_report(mailbox.mails, stack.token)}")
                        return
                if operator is not None:
                    operator.advance(view.remediations, now)
                    if operator.promoted(view.remediations):
                        operator.report(view.remediations)
                        return
                if until_mail or operator is not None:
                    limit = LOOP_LIMIT_SECONDS if operator is not None else MAIL_LIMIT_SECONDS
                    check_time(began, incident, mailed, now, limit)
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            screen.say("Ending everything.")
            raise


def introduction(programs: Programs, ports: Ports, remediate: bool) -> str:
    """Return a text that says what happens, and the addresses to open."""
    places = [
        ("Status", ports.url("exporter")),
        ("MLflow", ports.url("mlflow")),
        ("Metrics", ports.url("exporter") + "/metrics"),
        ("HTTP API", ports.url("exporter") + "/docs"),
    ]
    if programs.complete:
        places += [
            ("Prometheus", ports.url("prometheus") + "/alerts"),
            ("Alertmanager", ports.url("alertmanager")),
        ]
    if programs.evidently:
        places.append(("Evidently", ports.url("evidently")))
    lines = [
        "A model that predicts which flights from New York arrive late, trained on January to March 2013,",
        "scores those that followed, a day in a few seconds. Labels are known days later.",
        RELEASE if remediate else FEED,
        "",
        *(f"  {name:<13} {url}" for name, url in places),
    ]
    note = NO_GRAFANA if programs.complete else NOT_INSTALLED
    return "\n".join([*lines, "", note])


def look(traffic: str, programs: Programs, ports: Ports, mailbox: Mailbox, token: str) -> View:
    """Return the current view; its parts are empty until their source answers."""
    phase, story = read_phase(traffic)
    samples = read_samples(fetch(ports.url("exporter") + "/metrics?collect[]=core") or "")
    alerts = fetch(ports.url("prometheus") + "/api/v1/alerts") if programs.complete else None
    remediations = fetch(ports.url("exporter") + "/v1/remediations", token)
    of_versions = f"{ports.url('exporter')}/v1/models/{MODEL}/versions"
    reports = [fetch(f"{of_versions}/{each}/reports", token) for each in sorted(read_aliases(samples))]
    return View(
        phase=phase,
        story=story,
        findings=read_findings(samples),
        quality=read_quality(samples),
        alerts=read_alerts(alerts) if alerts else (),
        remediations=read_remediations(remediations) if remediations else (),
        reports=[report for answer in reports if answer for report in read_reports(answer)],
        mails=mailbox.mails,
    )


def read_phase(traffic: str) -> tuple[str, str]:
    """Return the name and story of the phase announced last in the traffic's output."""
    announced = re.findall(rf"^({'|'.join(PHASES)}): (.+)$", traffic, flags=re.MULTILINE)
    return announced[-1] if announced else ("starting", "MLflow, the exporter and the traffic")


def is_broken(traffic: str) -> bool:
    """Return true if the traffic's output announces the incident."""
    return "\nincident: " in traffic


def check_time(
    began: float, incident: float | None, mailed: float | None, now: float, limit_seconds: float
) -> None:
    """Check that the incident, the end or the mail, and then the reports are not overdue; times in seconds
    of one clock.

    Raises:
        DemoError: one of them is.
    """
    if incident is None and now - began > INCIDENT_LIMIT_SECONDS:
        raise DemoError(f"no incident within {INCIDENT_LIMIT_SECONDS:.0f} seconds of the start")
    if mailed is not None:
        if now - mailed > REPORT_LIMIT_SECONDS:
            raise DemoError(f"a report was not sent within {REPORT_LIMIT_SECONDS:.0f} seconds of the mail")
    elif incident is not None and now - incident > limit_seconds:
        raise DemoError(f"it did not end within {limit_seconds:.0f} seconds of the incident")


def has_come(mails: Sequence[Mail], traffic: str) -> bool:
    """Return true if the mail of the drift is there; the one of its end does not count.

    Raises:
        DemoError: it was sent before the incident.
    """
    if not any(map(is_of_drift, mails)):
        return False
    if not is_broken(traffic):
        raise DemoError("a drift was reported before anything was broken")
    return True


def is_of_drift(mail: Mail) -> bool:
    """Return true if a mail is about the drift, and not about its end."""
    return DRIFT_ALERT in mail.subject and not mail.subject.startswith("[resolved]")


def is_reported(reports: Sequence[Report]) -> bool:
    """Return true if all reports are wherever they can be read."""
    return bool(reports) and all(len(report.places) == PLACES for report in reports)


def open_report(mails: Sequence[Mail], token: str) -> str:
    """Return the address of the report that the mail of the drift links to.

    Raises:
        DemoError: its link leads to none.
    """
    link = re.search(r"^Report: (\S+)", next(filter(is_of_drift, mails)).text, flags=re.MULTILINE)
    address = follow(link[1], token) if link else ""
    if not address or "/latest" in address:
        raise DemoError(f"the link of the mail leads to no report: {link and link[1]}")
    return address
