"""`mlflow-exporter remediation`: what was done about alerts, approvals, holds, and what policies would do."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.cli.client import add_client_options, connect
from exporter.errors import ConfigError
from exporter.formats.texts import printable

if TYPE_CHECKING:
    from exporter.cli.commands import Commands

PATH = "/v1/remediations"
SHORT_ID = 12
WAIT_SECONDS = 30.0  # for what an approval leads to
UNDECIDED = ("awaiting_approval", "executing")

Row = Mapping[str, Any]


def add(commands: Commands) -> None:
    remediation = commands.add_parser(
        "remediation",
        help="see, approve or reject what is done about alerts",
        description="Ask a running exporter about remediation. Decisions need a token with a name and "
        "the scope `approve`.",
    )
    actions = remediation.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], help_: str) -> argparse.ArgumentParser:
        parser = actions.add_parser(name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
        parser.add_argument("--json", action="store_true", help="print the answer as it came")
        add_client_options(parser)
        parser.set_defaults(run=run)
        return parser

    listed = command("list", _list, "list actions, the last planned first, and holds")
    listed.add_argument(
        "--state", default="", help="such as pending, ended, or awaiting_approval,interrupted"
    )
    listed.add_argument("--model", default="")
    listed.add_argument("--policy", default="")
    listed.add_argument("--limit", type=int, default=50, help="actions at most (default %(default)s)")

    shown = command("show", _show, "show an action with its alert and its history")
    shown.add_argument("id")

    for name, help_ in (
        ("approve", "approve an action; its guards are asked again"),
        ("reject", "refuse an action for good"),
    ):
        decision = command(name, _decide, help_)
        decision.add_argument("id")
        decision.add_argument("--reason", required=True, help="why; kept in the audit trail")
        decision.set_defaults(verdict=name)

    resumed = command("resume", _resume, "lift holds on a model")
    resumed.add_argument("model")
    resumed.add_argument("--alias", default="", help="only holds that name it")
    resumed.add_argument("--policy", default="", help="only holds that name it")
    resumed.add_argument("--reason", required=True, help="why; kept in the audit trail")

    simulated = command("simulate", _simulate, "say what each policy would do about alerts; nothing is done")
    alerts = simulated.add_mutually_exclusive_group(required=True)
    alerts.add_argument(
        "file",
        nargs="?",
        type=Path,
        help="JSON of a webhook of Alertmanager, or of `amtool alert query -o json`",
    )
    alerts.add_argument("--last", metavar="7d", help="alerts that the exporter received in so long")
    alerts.add_argument("--alert", metavar="FINGERPRINT", help="one that the exporter received")


def _list(options: argparse.Namespace) -> int:
    query = {name: getattr(options, name) for name in ("state", "model", "policy", "limit")}
    with connect(options) as exporter:
        answer = exporter.get(PATH, query)
        held = exporter.get(f"{PATH}/holds")
    if options.json:
        return _print_json({**answer, **held})
    rows = answer["remediations"]
    _print_table(
        ("id", "planned", "policy", "model", "action", "state", "reason"),
        (
            (_short(row), _time(row["created_at"]), row["policy"], row["model"], *_outcome(row))
            for row in rows
        ),
    )
    if not rows:
        _say("no actions")
    for hold in held["holds"]:
        names = [f"{name} {hold[name]}" for name in ("alias", "policy") if hold[name]]
        of = f" ({', '.join(names)})" if names else ""
        _say(f"on hold since {_time(hold['since'])}: {hold['model']}{of}: {hold['reason']}")
    return 0


def _show(options: argparse.Namespace) -> int:
    with connect(options) as exporter:
        found = exporter.get(f"{PATH}/{options.id}")
    if options.json:
        return _print_json(found)
    labels = found["alert"].get("labels", {})
    _print_pairs(
        {
            "id": found["id"],
            "policy": f"{found['policy']} ({found['mode']})",
            "action": found["intent"],
            "state": _state(found),
            "approved by": found["approved_by"],
            "waits until": _time(found["approve_until"]) if found["state"] == "awaiting_approval" else "",
            "alert": ", ".join(f"{name}={value}" for name, value in sorted(labels.items())),
            "summary": found["alert"].get("annotations", {}).get("summary", ""),
        }
    )
    refusals = found["data"].get("refusals", [])
    if refusals:
        _say("guards that stop it:")
    for refusal in refusals:
        _say(f"  {refusal['guard']:<16} {refusal['reason']}")
    print()
    _print_table(
        ("at", "who", "state", "reason"),
        (
            (_time(step["at"]), step["actor"], step["data"].get("state", step["kind"]), _why(step["data"]))
            for step in found["history"]
        ),
    )
    return 0


def _decide(options: argparse.Namespace) -> int:
    """Send an approval or a rejection; after an approval, wait a while for what comes of it."""
    with connect(options) as exporter:
        found = exporter.post_json(f"{PATH}/{options.id}/{options.verdict}", {"reason": options.reason})
        deadline = time.monotonic() + WAIT_SECONDS
        while found["state"] in UNDECIDED and time.monotonic() < deadline:
            time.sleep(0.5)
            found = exporter.get(f"{PATH}/{found['id']}")
    if options.json:
        return _print_json(found)
    _say(f"{_short(found)}: {found['intent']}: {_state(found)}")
    return 0


def _resume(options: argparse.Namespace) -> int:
    wanted = {name: getattr(options, name) for name in ("model", "alias", "policy", "reason")}
    with connect(options) as exporter:
        answer = exporter.post_json(f"{PATH}/resume", wanted)
    if options.json:
        return _print_json(answer)
    _say(f"{answer['lifted']} hold{'s' if answer['lifted'] > 1 else ''} on {options.model} lifted")
    return 0


def _simulate(options: argparse.Namespace) -> int:
    try:
        body = options.file.read_bytes() if options.file else b""
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}") from None
    query = {"last": options.last, "alert": options.alert}
    with connect(options) as exporter:
        answer = exporter.post(f"{PATH}/simulate", query, body)
    if options.json:
        return _print_json(answer)
    for alert in answer["alerts"]:
        times = f", {alert['times']} times" if alert["times"] > 1 else ""
        labels = ", ".join(f"{name}={value}" for name, value in sorted(alert["labels"].items()))
        _say(f"{labels or 'an alert without labels'} ({alert['status']}{times})")
        for policy in alert["policies"]:
            _say(f"  {policy['policy']}: {policy['says']}")
            for check in policy["guards"]:
                mark = "unknown" if check["unknown"] else "refuses" if check["reason"] else "passes"
                _say(f"    {check['guard']:<16} {mark:<8} {check['reason']}".rstrip())
    if answer["omitted"]:
        _say(f"and {answer['omitted']} more alerts")
    if not answer["alerts"]:
        _say("no alerts")
    return 0


def _outcome(row: Row) -> tuple[str, str, str]:
    move = f"{row['action']} to {row['target_version']}" if row["target_version"] else row["action"]
    return move, row["state"] + (f" ({row['guard']})" if row["guard"] else ""), row["reason"]


def _state(row: Row) -> str:
    guard = f" by {row['guard']}" if row["guard"] else ""
    return f"{row['state']}{guard}" + (f": {row['reason']}" if row["reason"] else "")


def _why(data: Row) -> str:
    said = str(data.get("reason", ""))
    return f"{data['guard']}: {said}" if data.get("guard") else said


def _short(row: Row) -> str:
    return str(row["id"])[:SHORT_ID]


def _time(text: str | None) -> str:
    """Return a time of an answer to the second, in UTC."""
    return f"{text[:19]}Z".replace("T", " ") if text else ""


def _say(text: str) -> None:
    """Print a line; what others wrote, such as labels, cannot control the terminal."""
    print(printable(text))


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=2, ensure_ascii=False))
    return 0


def _print_pairs(pairs: Mapping[str, str]) -> None:
    for name, value in pairs.items():
        if value:
            _say(f"{name:<12} {value}")


def _print_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns as wide as their values, the last one as it comes."""
    table = [list(map(str, row)) for row in rows]
    if not table:
        return
    table.insert(0, [name.upper() for name in names])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        _say("  ".join(f"{value:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip())
