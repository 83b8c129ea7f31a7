"""How figures and verdicts read, in the table and in lines."""

from __future__ import annotations

import math
import textwrap

from exporter.demo.observation import Finding

TEXT_WIDTH = 90


def describe_limits(finding: Finding) -> tuple[str, str]:
    """What was measured, and what it is compared with: its limit, or the share in the reference."""
    if finding.measure == "PSI":
        return f"{finding.measured:.3f}", f"limit {finding.limit:.3f}"
    return f"{finding.measured:.0%}", f"{finding.limit:.0%} in the reference"


def describe_verdict(finding: Finding) -> str:
    """Of a finding with a verdict that it failed, or of a drift."""
    if finding.measure != "PSI":
        return "degraded"
    return "undecided" if finding.verdict is None else "drifted" if finding.verdict else "stable"


def describe_figure(value: float) -> str:
    """A figure of quality, or that there is none."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def describe_share(value: float) -> str:
    """A share in percent, or that there is none."""
    return "-" if math.isnan(value) else f"{value:.0%}"


def wrap(text: str) -> str:
    """Paragraphs in lines short enough to read; lines with an address stay in one piece."""
    return "\n".join(
        line if "://" in line else textwrap.fill(line, TEXT_WIDTH, subsequent_indent=_indent(line))
        for line in text.splitlines()
    )


def _indent(line: str) -> str:
    return " " * (len(line) - len(line.lstrip(" -")))
