"""Panels on exporters that share the work."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
from links import EXPORTER

from health import queries as q

_SHADES = (look.shaded(look.LIVE),)


def shares() -> Iterator[panels.Panel]:
    yield panels.count_of_bad(
        "Shards missing",
        "Shards whose exporter does not answer: their models are not monitored. Empty where models are not "
        "divided between exporters.",
        q.SHARDS_MISSING,
        look.BAD,
        size=(6, 7),
        nothing="No shards",
    ).id(EXPORTER.id("shards missing"))
    yield panels.number(
        "Leader",
        "Replicas that lead: one, also where there is a single exporter. The others stand by with the same "
        "database; without a leader nothing is measured, or nothing is stored.",
        q.LEADERS,
        unit="none",
        words={0: ("None", look.BAD), 1: ("One", look.GOOD)},
        size=(6, 7),
        nothing="No target",
    ).id(EXPORTER.id("leader"))
    yield panels.lines(
        "Replica that leads",
        "By replica: 1 while it leads, 0 while it stands by or cannot renew its lease.",
        panels.Line("{{instance}}", q.LEADS, _SHADES),
        unit="short",
        decimals=0,
        size=(6, 7),
        nothing="No replica answers.",
    )
    yield panels.lines(
        "Changes of the leader",
        "Per step of the chart: replicas that took over. More of them than restarts are due to a database or "
        "a network that fails.",
        panels.line("changes", q.TRANSITIONS, look.LIVE),
        unit="short",
        decimals=0,
        size=(6, 7),
        nothing="No replica answers.",
    )
    behind = panels.lines(
        "Behind, by partition",
        "Age of the last message that a partition of the Kafka group has committed while later ones wait. "
        "More than five minutes, the dashed line, is too much; a partition without a line has no worker.",
        panels.Line("{{partition}}", q.KAFKA_LAG, _SHADES),
        unit="s",
        size=(12, 8),
        nothing="No Kafka group",
    )
    yield panels.limited(behind, 300).id(EXPORTER.id("kafka lag"))
    yield panels.lines(
        "Dead letters",
        "Messages that a worker could not take and sent to the dead-letter topic, by reason.",
        panels.Line("{{reason}}", q.DEAD_LETTERS, _SHADES),
        unit="short",
        decimals=0,
        size=(12, 8),
        nothing="No Kafka group",
    ).id(EXPORTER.id("dead letters"))
