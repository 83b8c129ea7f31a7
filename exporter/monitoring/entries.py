"""Entries of the audit trail about versions, references, aliases, tags and configuration. Pure.

Texts of others are redacted and cut, and lists are bounded: a record must not grow with what is in MLflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from exporter.audit.record import Entry, Kind
from exporter.fleet import Facts, Status, Version
from exporter.formats.texts import cut, redact, storable
from exporter.reference.profile import Reference
from exporter.settings import Window
from exporter.storage.schema import AliasMove

MAX_TAGS = 50
MAX_NAMED_VERSIONS = 50
MAX_FOREIGN = 200


def shown(text: str) -> str:
    """A foreign text as it stands in a record: without secrets, and of at most `MAX_FOREIGN` characters."""
    return cut(redact(storable(text[: 10 * MAX_FOREIGN])), MAX_FOREIGN)


def of_reference(version: Version, reference: Reference, actor: str = "", reason: str = "") -> Entry:
    """Entry about a version's new reference, before it has it.

    Args:
        version: the version.
        reference: the new one.
        actor: who replaced it; empty if it was found or built.
        reason: for which it was replaced.
    """
    before = version.counts.reference.digest if version.counts is not None else ""
    data: dict[str, Any] = {
        "old_digest": before,
        "new_digest": reference.digest,
        "source": shown(reference.source),
        "rows": reference.rows,
        "columns": len(reference.columns),
        "provisional": reference.provisional,
    }
    if actor:
        data["reason"] = storable(reason)
    kind: Kind = "reference_replaced" if actor else "reference_built"
    found = _of_version(version, kind, storable(actor) or "monitor", data)
    return replace(found, reference_digest=reference.digest)


def of_missing_reference(version: Version, status: Status, detail: str) -> Entry:
    """Entry about a version that has no reference."""
    data = {"status": str(status), "detail": shown(detail)}
    return _of_version(version, "reference_missing", "monitor", data)


def of_monitored(version: Version, run_id: str) -> Entry:
    """Entry about a version that is monitored from now on."""
    data = {"run_id": shown(run_id), "created_ms": version.created_ms}
    return _of_version(version, "version_monitored", "system", data)


def of_forgotten(version: Version, reason: str) -> Entry:
    """Entry about a version that is not monitored any more."""
    return _of_version(version, "version_forgotten", "system", {"reason": reason})


def of_tags(version: Version, tags: Mapping[str, str], config_digest: str) -> Entry | None:
    """Entry about the tags of a version, or of its model, that changed to `tags`; None if none did."""
    known = version.facts.tags
    changed = sorted(name for name in {*known, *tags} if known.get(name) != tags.get(name))
    if not changed:
        return None
    before, after = (
        {shown(name): shown(of[name]) for name in changed[:MAX_TAGS] if name in of} for of in (known, tags)
    )
    data = {"before": before, "after": after} | omitted(len(changed) - MAX_TAGS)
    return replace(_of_version(version, "tags_changed", "mlflow", data), config_digest=config_digest)


def of_moves(moves: Sequence[AliasMove], before: Mapping[tuple[str, str], str]) -> list[Entry]:
    """Entries about moves of aliases; `before` has the version of each (model, alias) that points to one."""
    return [
        Entry(
            kind="alias_moved",
            actor="mlflow",
            model=move.model,
            model_version=move.version,
            subject=move.alias,
            data=_moved(before.get((move.model, move.alias), ""), move.version),
        )
        for move in moves
    ]


def of_config(cause: str, file_before: str, file_after: str, changed: Iterable[tuple[Version, str]]) -> Entry:
    """Entry about another configuration.

    Args:
        cause: `start` or `reload`.
        file_before: digest of the file that was in use, empty if there was none.
        file_after: digest of the file in use.
        changed: versions whose resolved configuration differs, with its digest before.
    """
    versions = [
        {
            "model": version.model,
            "model_version": version.version,
            "before": before,
            "after": version.facts.config_digest,
        }
        for version, before in changed
    ]
    data = {
        "cause": cause,
        "file_before": file_before,
        "file_after": file_after,
        "versions": versions[:MAX_NAMED_VERSIONS],
    }
    return Entry("config_changed", "system", data=data | omitted(len(versions) - MAX_NAMED_VERSIONS))


def of_version_config(facts: Facts, version: Version, windows: Sequence[Window]) -> Entry:
    """Entry about a version's configuration, which shows what is in force.

    Args:
        facts: with the configuration.
        version: that has the configuration before as the one that was recorded last.
        windows: of the evaluations.
    """
    config = facts.config.model_dump(mode="json", exclude_none=True)
    if "reference_uri" in config:
        config["reference_uri"] = shown(config["reference_uri"])
    thresholds = facts.thresholds
    in_force = {
        **config,
        "drift_threshold": thresholds.drift,
        "drift_thresholds": dict(thresholds.drift_by_column),
        "windows": [window.name for window in windows],
    }
    data = {"before": version.recorded_config, "after": facts.config_digest, "config": in_force}
    return replace(_of_version(version, "config_changed", "system", data), config_digest=facts.config_digest)


def omitted(count: int) -> dict[str, int]:
    """Number of values that are left out, empty if there are none."""
    return {"omitted": count} if count > 0 else {}


def _moved(before: str, after: str) -> dict[str, Any]:
    """Versions of an alias before and after; the same where only the time of its last move is corrected."""
    return {"before": before, "after": after} | ({"retimed": True} if before == after else {})


def _of_version(version: Version, kind: Kind, actor: str, data: Mapping[str, Any]) -> Entry:
    """Entry about a version with its present reference and configuration."""
    return Entry(
        kind=kind,
        actor=actor,
        model=version.model,
        model_version=version.version,
        data=data,
        reference_digest=version.counts.reference.digest if version.counts is not None else "",
        config_digest=version.facts.config_digest,
    )
