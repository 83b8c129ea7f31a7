"""Mistakes in the section `remediation` that no single value shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from exporter.config.delivered_alerts import INPUT_ALERTS, LOOP_ALERTS
from exporter.config.remediation import Policy, full_match
from exporter.config.targets import Target

Mistake = tuple[tuple[str, ...], str]  # place in the section, and message
_POLICY, _TARGET = TypeAdapter(Policy), TypeAdapter[Any](Target)


def mistakes(written: object, context: dict[str, Any]) -> Iterator[Mistake]:
    """Yield mistakes that no single value shows: names without a meaning, unusable or dangerous policies.

    Args:
        written: the section as it is in the file. Parts that are no valid policy or target are left out.
        context: of pydantic's validation.
    """
    section = written if isinstance(written, dict) else {}
    listed = section.get("policies")
    named = section.get("targets")
    policies = dict(_valid(_POLICY, enumerate(listed if isinstance(listed, list) else ()), context))
    targets = dict(_valid(_TARGET, (named if isinstance(named, dict) else {}).items(), context))
    for name, target in targets.items():
        yield from (
            (("targets", str(name), field), f"{path} {fault}") for field, path, fault in _unreadable(target)
        )
    first: dict[str, object] = {}
    for index, policy in policies.items():
        place = ("policies", str(index))
        if first.setdefault(policy.name, index) != index:
            yield (*place, "name"), f"another policy is called {policy.name}"
        kinds = {name: getattr(target, "kind", "") for name, target in targets.items()}
        known = set(named) if isinstance(named, dict) else set()
        yield from (((*place, *at), text) for at, text in _misfits(policy, known, kinds))


def _valid(adapter: Any, items: Any, context: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    for key, item in items:
        try:
            yield key, adapter.validate_python(item, context=context)
        except ValidationError:
            continue


def _misfits(policy: Policy, targets: set[str], kinds: Mapping[str, str]) -> Iterator[Mistake]:
    pattern = policy.match["alertname"]
    loop = [name for name in LOOP_ALERTS if full_match(pattern, name)]
    if loop:
        yield (
            ("match", "alertname"),
            f"matches {loop[0]}: no policy may act on alerts about the exporter",
        )
    inputs = [name for name in INPUT_ALERTS if full_match(pattern, name)]
    if inputs and policy.action == "rollback" and not policy.force:
        yield (
            ("match", "alertname"),
            f"matches {inputs[0]}, and the version before gets the same inputs: name other alerts, or say "
            "`force: true`",
        )
    if policy.force and policy.action != "rollback":
        yield ("force",), "is for the action rollback only"
    if policy.action in ("retrain", "notify"):
        if policy.target is None:
            yield (
                ("action",),
                f"{policy.action} needs one of the targets in its key target",
            )
        elif policy.target not in targets:
            yield (
                ("target",),
                f"there is no target {policy.target}; there is {', '.join(sorted(targets)) or 'none'}",
            )
        elif policy.action == "notify" and kinds.get(policy.target, "webhook") != "webhook":
            yield ("target",), f"{policy.target} is of kind {kinds[policy.target]}, notify takes a webhook"
    elif policy.target is not None:
        yield ("target",), f"the action {policy.action} takes no target"
    if (policy.action == "tag") != (policy.tag is not None):
        yield (
            ("action",) if policy.tag is None else ("tag",),
            "the action tag needs the key tag: {name: ...}, and no other action takes it",
        )
    if policy.challenger_alias is not None and policy.action != "retrain":
        yield ("challenger_alias",), f"{policy.action} makes no challenger"
    if policy.challenger_alias is not None and policy.challenger_alias == policy.alias:
        yield ("challenger_alias",), f"is the alias {policy.alias} itself: a new version is compared first"


def _unreadable(target: Any) -> Iterator[tuple[str, str, str]]:
    """Yield field, path and fault of the files of a target that cannot be read."""
    for field in type(target).model_fields:
        path = getattr(target, field)
        if not field.endswith("_file") or path is None:
            continue
        try:
            if not Path(path).read_bytes().strip():
                yield field, path, "is empty"
        except OSError as error:
            yield field, path, f"cannot be read: {error.strerror}"
