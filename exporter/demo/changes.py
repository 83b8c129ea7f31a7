"""What there is to see at a moment, and what is new since the last one, a line for each change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from exporter.demo.mailbox import Mail
from exporter.demo.observation import Alert, Figure, Finding, Quality
from exporter.demo.wording import describe_figure, describe_limits, describe_share, describe_verdict


@dataclass(frozen=True)
class View:
    """All that is shown at a moment: the phase and its story, what drifts, how good the versions are, what
    fires, the mails so far."""

    phase: str
    story: str
    findings: Sequence[Finding] = ()
    quality: Sequence[Quality] = ()
    alerts: Sequence[Alert] = ()
    mails: Sequence[Mail] = ()


def settle(before: View, now: View) -> View:
    """The view in which what cannot be judged now, as windows fill, keeps its last verdict."""
    verdicts = {(finding.column, finding.measure): finding.verdict for finding in before.findings}
    findings = [
        replace(finding, verdict=verdicts.get((finding.column, finding.measure)))
        if finding.verdict is None
        else finding
        for finding in now.findings
    ]
    known = {_identity(found): found for found in before.quality}
    for found in now.quality:
        last = known.get(_identity(found), found)
        estimated, real = _settle(last.estimated, found.estimated), _settle(last.real, found.real)
        known[_identity(found)] = replace(found, estimated=estimated, real=real)
    return replace(now, findings=findings, quality=list(known.values()))


def _settle(before: Figure, now: Figure) -> Figure:
    return replace(now, degraded=before.degraded) if now.degraded is None else now


def changes(before: View, now: View) -> list[str]:
    """What is new, one line each."""
    lines = []
    if (before.phase, before.story) != (now.phase, now.story):
        lines.append(f"{now.phase}: {now.story}")
    drifted_before = {(f.column, f.measure) for f in before.findings if f.verdict}
    drifted_now = {(f.column, f.measure): f for f in now.findings if f.verdict}
    for key, finding in drifted_now.items():
        if key not in drifted_before:
            measured, compared = describe_limits(finding)
            over = f" over {finding.over}" if finding.over else ""
            verdict = describe_verdict(finding)
            lines.append(f"{finding.column}: {verdict}, {finding.measure} {measured}{over}, {compared}")
    lines += [
        f"{column}: {measure} is normal again"
        for column, measure in sorted(drifted_before - drifted_now.keys())
    ]
    known = {_identity(found): found for found in before.quality}
    for found in now.quality:
        lines += _quality_changes(known.get(_identity(found)), found)
    lines += [f"{_about(alert)} {alert.state}" for alert in now.alerts if alert not in before.alerts]
    still = {_about(alert) for alert in now.alerts}
    lines += [f"{_about(alert)} over" for alert in before.alerts if _about(alert) not in still]
    lines += [f"mail: {mail.subject}" for mail in now.mails[len(before.mails) :]]
    return lines


def _quality_changes(before: Quality | None, now: Quality) -> list[str]:
    """When there are figures for the first time, and when a verdict on them changes."""
    version, labels = f"v{now.version} {now.alias}", f"with {describe_share(now.coverage)} of the labels"
    over = f"over {now.over}, promised {describe_figure(now.promised)}"
    lines = []
    if not math.isnan(now.real.value) and (before is None or math.isnan(before.real.value)):
        real, estimated = describe_figure(now.real.value), describe_figure(now.estimated.value)
        lines.append(f"{version}: {now.metric} {real} {over}, {labels}; {estimated} estimated")
    was_estimated, was_real = (before.estimated, before.real) if before is not None else (None, None)
    labels_said_so = was_real is not None and was_real.degraded
    when = "as labels have shown" if labels_said_so else "before the labels come"
    for name, was, figure, how in (
        (f"estimated {now.metric}", was_estimated, now.estimated, when),
        (now.metric, was_real, now.real, labels),
    ):
        was_degraded = was is not None and was.degraded
        if figure.degraded and not was_degraded:
            lines.append(f"{version}: {name} degraded, {describe_figure(figure.value)} {over}, {how}")
        elif was_degraded and not figure.degraded:
            lines.append(f"{version}: {name} not degraded any more, {describe_figure(figure.value)}")
    return lines


def _identity(found: Quality) -> tuple[str, str]:
    return found.version, found.metric


def _about(alert: Alert) -> str:
    return " ".join(part for part in ("alert", alert.name, alert.subject, f"({alert.severity}):") if part)
