"""Results of verifying the audit trail, as lines for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exporter.audit.anchors import Anchor
from exporter.audit.export_verification import ExportVerification
from exporter.audit.record import show_time
from exporter.audit.verification import StoreVerification
from exporter.audit.walk import Range

MAX_SHOWN_FAULTS = 20

Result = StoreVerification | ExportVerification


def describe(found: Result, name: str, witnesses: Sequence[Anchor]) -> list[str]:
    """Lines for people, the faults first.

    Args:
        name: of the store or file.
        witnesses: that were asked.
    """
    chain = found.chain
    lines = []
    if found.fault_count:
        number = "one fault" if found.fault_count == 1 else f"{found.fault_count:,} faults"
        lines.append(f"{name}: CHANGED, {number}, the first at record {found.faults[0].seq:,}")
        lines += [f"  {fault}" for fault in found.faults[:MAX_SHOWN_FAULTS]]
        if found.fault_count > MAX_SHOWN_FAULTS:
            lines.append("  and more")
    elif not found.proven:
        lines.append(f"{name}: NOT PROVEN, all that the witnesses remember is said to have been pruned")
    else:
        lines.append(
            f"{name}: intact, {_count(chain.records, 'record')}{_span(chain.first_seq, chain.last.seq)}"
        )
    lines.append(f"  anchored    {_ranges(chain.anchored)}{_sources(chain.anchored, witnesses)}")
    lines.append(f"  unanchored  {_ranges(chain.unanchored)}")
    whose = "known keys" if found.trusted else "the keys that the trail names"
    lines.append(
        f"  signed      {_ranges(chain.signed)} by {_count(found.checkpoints, 'checkpoint')} of {whose}"
    )
    lines += [f"  key         {key}" for key in found.keys]
    if isinstance(found, ExportVerification):
        shown = chain.records - chain.without_body
        of_all = f"{shown:,} of {_count(chain.records, 'record')}"
        lines.append(f"  content     {of_all}, {chain.without_body:,} by digest only")
    else:
        until = f" (the last of {show_time(found.pruned_until)[:19]})"
        pruned = f"{found.pruned:,} pruned{until}" if found.pruned else "none pruned"
        lines.append(f"  content     {pruned}, {chain.without_body:,} erased")
    missing = "is not in it" if isinstance(found, ExportVerification) else "was pruned"
    lines += [f"  not used    {anchor.source}: record {anchor.seq:,} {missing}" for anchor in chain.unused]
    if not witnesses:
        lines.append(
            "  No witness was asked: whoever can write to the store and sign could have rewritten all of it; "
            "see --checkpoint and --prometheus."
        )
    return lines


def to_json(found: Result, name: str, witnesses: Sequence[Anchor]) -> dict[str, Any]:
    """The result as an object of JSON; ranges have their first and last record."""
    chain = found.chain
    shared = {
        "name": name,
        "intact": found.intact,
        "proven": found.proven,
        "faults": found.fault_count,
        "first_fault": found.faults[0]._asdict() if found.faults else None,
        "named_faults": [fault._asdict() for fault in found.faults],
        "records": chain.records,
        "first": chain.first_seq,
        "last": chain.last.seq,
        "digest": chain.last.digest.hex(),
        "anchored": chain.anchored,
        "unanchored": chain.unanchored,
        "signed": chain.signed,
        "checkpoints": found.checkpoints,
        "keys": found.keys,
        "keys_given": found.trusted,
        "witnesses": [_anchor(anchor) for anchor in witnesses],
        "unused": [_anchor(anchor) for anchor in chain.unused],
    }
    if isinstance(found, ExportVerification):
        return shared | {"with_content": chain.records - chain.without_body, "export": dict(found.header)}
    return shared | {"pruned": found.pruned, "segments": found.segments, "erased": chain.without_body}


def _anchor(anchor: Anchor) -> dict[str, Any]:
    return {"seq": anchor.seq, "digest": anchor.digest.hex(), "source": anchor.source}


def _span(first: int, last: int) -> str:
    return f" from {first:,} to {last:,}" if last >= first else ""


def _ranges(ranges: Sequence[Range]) -> str:
    return ", ".join(f"{first:,} to {last:,}" for first, last in ranges) or "none"


def _sources(anchored: Sequence[Range], witnesses: Sequence[Anchor]) -> str:
    sources = list(dict.fromkeys(anchor.source for anchor in witnesses))
    return f" by {', '.join(sources[:3])}{' and others' if len(sources) > 3 else ''}" if anchored else ""


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
