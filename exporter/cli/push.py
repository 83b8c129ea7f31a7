"""`mlflow-exporter push`."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from exporter.cli.client import add_client_options, connect
from exporter.cli.progress import shown_progress
from exporter.errors import CallError, ConfigError, ExporterError
from exporter.formats.texts import listed, printable

if TYPE_CHECKING:
    from exporter.cli.commands import Commands
    from exporter.push.assignment import Wanted
    from exporter.push.batches import Destination
    from exporter.push.outcome import Outcome

INCOMPLETE, LOSSY, INTERRUPTED = 1, 3, 130
FIELDS = ("id", "timestamp", "prediction", "label", "latency_seconds")
MEANINGS = {
    "accepted": "new",
    "duplicates": "known before, not counted again",
    "conflicts": "with an id that had other content before; counted as well",
    "unmatched": "wait for their prediction",
    "corrections": "replace another label",
}
PRODUCED = "in Kafka; new rows are told from repeated ones when a worker takes them"
REASONS = {
    "too_old": "older than the exporter keeps rows",
    "future": "ahead of the exporter's clock",
    "no_version": "from a time at which the alias pointed to no version",
}
DESCRIPTION = """\
Send predictions or labels of files to a running exporter: Parquet, CSV (with names in the first row)
or JSON lines, on this machine or in an object store (s3://, gs://, abfss://). FILE is a file, a directory
or a pattern. Rows with times of the past count in the hours that they are from. A command that was
interrupted can be given again within 24 hours: what was sent counts once, also without ids.
"""
EPILOG = """\
exit status: 0 all rows count; 1 not everything was sent, give the command again; 2 it cannot be used as
given; 3 everything was sent, and some rows were dropped or refused; 130 interrupted
"""


def add(commands: Commands) -> None:
    push = commands.add_parser(
        "push",
        help="send files of predictions or labels",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    push.add_argument("files", nargs="+", metavar="FILE")
    push.add_argument("--model", required=True, help="the registered model's name")
    which = push.add_mutually_exclusive_group()
    which.add_argument("--version", default="", help="the version that predicted")
    which.add_argument("--alias", default="", help="or an alias, resolved at the time of each row")
    push.add_argument("--labels", action="store_true", help="the files have labels: columns `id` and `label`")
    push.add_argument(
        "--format", choices=("parquet", "csv", "jsonl"), help="of files whose name does not tell"
    )
    columns = push.add_argument_group(
        "columns",
        "A column called id, timestamp, prediction, score, label or latency_seconds is that, if no "
        "option names another; all others are features.",
    )
    for name in FIELDS:
        columns.add_argument(f"--{name.replace('_', '-')}", metavar="COLUMN", dest=f"column_{name}")
    columns.add_argument(
        "--score",
        metavar="COLUMN,...",
        help="one column, several in the order of the classes, or class=COLUMN for each class",
    )
    columns.add_argument(
        "--time-unit",
        choices=("s", "ms", "us", "ns"),
        default="s",
        help="of times that are numbers (default s)",
    )
    chosen = columns.add_mutually_exclusive_group()
    chosen.add_argument("--features", metavar="COLUMN,...", action="append", help="the only features")
    chosen.add_argument(
        "--leave-out", metavar="COLUMN,...", action="append", default=[], help="columns that are not sent"
    )
    push.add_argument(
        "--dry-run", action="store_true", help="read everything, send nothing, say what would be taken"
    )
    push.add_argument(
        "--retry-seconds",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long to try again while the exporter takes nothing (default %(default)g)",
    )
    add_client_options(push)
    push.set_defaults(run=_push)


def _push(options: argparse.Namespace) -> int:
    from exporter.push.batches import Destination
    from exporter.push.dry_run import dry_poster
    from exporter.push.outcome import Outcome
    from exporter.push.push import push
    from exporter.push.reference import reference_columns
    from exporter.push.sending import Sender, poster
    from exporter.push.sources import find_sources

    if options.labels == bool(options.version or options.alias):
        raise ConfigError(
            "labels are of a model, whatever its version: leave out --version and --alias"
            if options.labels
            else "name the version that predicted, with --version or --alias"
        )
    target = Destination(options.model, options.version, options.alias, options.labels)
    wanted, outcome = _wanted(options), Outcome()
    sources = find_sources(options.files, options.format)
    started = time.monotonic()
    with connect(options) as connection:
        kinds: dict[str, str] = {}
        notes = list[str]()
        try:
            kinds = {} if options.labels else reference_columns(connection, target)
        except CallError as error:
            if not options.dry_run:
                raise
            notes.append(f"the columns of the reference are unknown: {error}")
        post = dry_poster(target, outcome) if options.dry_run else poster(connection, target)
        sender = Sender(post, target, outcome, options.retry_seconds)
        status, problem = 0, ""
        try:
            with shown_progress(sources, outcome) as progress:
                push(sources, wanted, kinds, sender, outcome, progress)
        except KeyboardInterrupt:
            sender.stop()
            status, problem = INTERRUPTED, "interrupted"
        except ExporterError as error:
            sender.stop()
            status, problem = INCOMPLETE, str(error)
    _say(options, target, outcome, len(sources), time.monotonic() - started)
    _say_columns(outcome, kinds, notes)
    if outcome.unreadable and not status:
        status, problem = INCOMPLETE, "not everything could be read"
    if problem:
        print(f"mlflow-exporter: {printable(problem)}", file=sys.stderr)
        if not options.dry_run:
            print("  give the command again within 24 hours: what was sent counts once", file=sys.stderr)
    return status or (LOSSY if outcome.refused or outcome.dropped else 0)


def _wanted(options: argparse.Namespace) -> Wanted:
    from exporter.push.assignment import Wanted

    scores = [tuple(each.rpartition("=")[::2]) for each in (options.score or "").split(",") if each]
    if len({bool(name) for name, _ in scores}) > 1:
        raise ConfigError("--score: name the class of every column, or of none")
    columns = {name: getattr(options, f"column_{name}") for name in FIELDS}
    return Wanted(
        labels=options.labels,
        named={name: column for name, column in columns.items() if column},
        scores=[(name, column) for name, column in scores],
        features=_names(options.features) if options.features else None,
        leave_out=_names(options.leave_out),
        time_unit=options.time_unit,
    )


def _names(given: list[str]) -> list[str]:
    return [name for text in given for name in text.split(",") if name]


# -- what is shown ------------------------------------------------------------------------------------------


def _say(
    options: argparse.Namespace, target: Destination, outcome: Outcome, files: int, seconds: float
) -> None:
    """Print what became of the rows."""
    version = (target.version and f" version {target.version}") or (target.alias and f" {target.alias}")
    what = "labels" if target.labels else "predictions"
    rate = outcome.rows / max(seconds, 1e-9)
    done = "would be sent" if options.dry_run else f"in {seconds:.1f} s, {rate:,.0f} rows/s"
    print(printable(f"{target.model}{version}: {outcome.rows:,} {what} of {files:,} files, {done}"))
    for name, count in outcome.answers.items():
        if count or name == "accepted":
            _line(name, count, PRODUCED if outcome.produced else MEANINGS.get(name, ""))
    for reason, count in sorted(outcome.dropped.items()):
        _line("dropped", count, f"{reason}: {REASONS.get(reason, '')}")
    if outcome.refused:
        _line("refused", outcome.refused, "")
        for each in outcome.refusals:
            rows = f"{each.first:,}" if each.first == each.last else f"{each.first:,} to {each.last:,}"
            print(printable(f"    {each.file}, row {rows}: {each.detail}"))
        if len(outcome.refusals) < outcome.refused:
            print("    ...")
    for problem in outcome.unreadable:
        print(printable(f"  {problem}"))


def _line(name: str, count: int, meaning: str) -> None:
    print(f"  {name:<12}{count:>14,}  {meaning}".rstrip())


def _say_columns(outcome: Outcome, kinds: dict[str, str], notes: list[str]) -> None:
    """Print what is worth knowing about the columns."""
    if outcome.features and kinds:
        unknown = [name for name in outcome.features if name not in kinds]
        lacking = [name for name in kinds if name not in outcome.features]
        if unknown:
            notes.append(f"not in the reference, and not monitored: {listed(unknown, 20)}")
        if lacking:
            notes.append(f"columns of the reference that the files lack: {listed(lacking, 20)}")
    if outcome.unsent:
        notes.append(f"columns that are not sent: {listed(list(outcome.unsent), 20)}")
    if outcome.unanswered:
        notes.append(f"{outcome.unanswered:,} rows without a prediction count as unanswered requests")
    if outcome.features and outcome.without_id:
        notes.append(f"{outcome.without_id:,} rows without an id, which labels cannot be joined with")
    if outcome.naive_timestamps:
        notes.append(f"{outcome.naive_timestamps:,} times without a zone are taken as UTC")
    for note in notes:
        print(printable(f"  {note}"))
