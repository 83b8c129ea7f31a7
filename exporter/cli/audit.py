"""`mlflow-exporter audit`: verify, export and report what was recorded, and erase the content of a record."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from exporter.cli.client import add_client_options, connect, user_name
from exporter.errors import ConfigError, ExporterError
from exporter.formats.addresses import version_path
from exporter.settings import DAY_SECONDS, Settings, load_settings

if TYPE_CHECKING:
    from exporter.audit.anchors import Anchor
    from exporter.cli.commands import Commands

REPORT_DAYS = 30  # unless said otherwise
REPORT_TIMEOUT_SECONDS = 600.0  # for a long period in a long trail


def add(commands: Commands) -> None:
    audit = commands.add_parser("audit", help="verify, export and report what was recorded")
    actions = audit.add_subparsers(required=True, metavar="ACTION")
    _add_verify(actions)
    _add_export(actions)
    _add_report(actions)
    _add_checkpoint(actions)
    _add_erase(actions)


def _add_verify(actions: Commands) -> None:
    verify = actions.add_parser(
        "verify",
        help="find any change of the trail, or of an export of it",
        description="Verify the trail of a store, also beside the exporter that uses it, or an export. The "
        "exit status is 1 if it was changed, or if nothing is left of what witnesses remember.",
    )
    verify.add_argument("file", nargs="?", type=Path, metavar="FILE", help="an export, in place of the store")
    _add_store(verify)
    verify.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a checkpoint that was kept elsewhere: a signed note, or the tag's value in MLflow; repeatable",
    )
    verify.add_argument("--prometheus", metavar="URL", help="ask Prometheus for the checkpoints that it saw")
    verify.add_argument(
        "--selector",
        default="",
        metavar="{instance=...}",
        help="labels of the exporter, if Prometheus scrapes several",
    )
    verify.add_argument(
        "--key",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="public keys that checkpoints have to be signed by (default those beside the store's signing "
        "key, else those that the trail names)",
    )
    verify.add_argument("--json", action="store_true", help="print the result as JSON")
    verify.set_defaults(run=_verify)


def _add_export(actions: Commands) -> None:
    export = actions.add_parser(
        "export",
        help="write records to a file that can be verified by itself",
        description="Write the records of a period, with the content of those of a model, and the digests of "
        "all others.",
    )
    export.add_argument("--model", default="", help="default all models")
    export.add_argument("--version", default="", help="of the model (default all of them)")
    _add_period(export, "the oldest record")
    export.add_argument("--format", choices=("jsonl", "csv", "parquet"), help="default by the file's name")
    export.add_argument("--output", type=Path, metavar="FILE", help="default standard output")
    _add_store(export)
    export.set_defaults(run=_export)


def _add_report(actions: Commands) -> None:
    report = actions.add_parser(
        "report",
        help="write up the evidence about a version",
        description="Ask a running exporter for a report on a version: what it was monitored against, what "
        "was found and done, and the proof. That it was asked for is recorded.",
    )
    report.add_argument("model")
    report.add_argument("version")
    _add_period(report, f"{REPORT_DAYS} days before the end")
    report.add_argument("--format", choices=("markdown", "html"), help="default by the file's name")
    report.add_argument("--output", type=Path, metavar="FILE", help="default standard output")
    report.add_argument("--store", metavar="URI", help="read a store, such as a backup; nothing is recorded")
    add_client_options(report)
    report.set_defaults(run=_report)


def _add_checkpoint(actions: Commands) -> None:
    checkpoint = actions.add_parser(
        "checkpoint",
        help="print the newest checkpoint, to be kept elsewhere",
        description="Print the newest signed checkpoint of a store. Kept on another machine, it proves every "
        "record before it.",
    )
    _add_store(checkpoint)
    checkpoint.set_defaults(run=_checkpoint)


def _add_erase(actions: Commands) -> None:
    erase = actions.add_parser(
        "erase",
        help="erase the content of a record, for good",
        description="Ask a running exporter to erase the content of a record, such as one that names a "
        "person. Its number, time and digest stay, and the chain remains verifiable.",
    )
    erase.add_argument("seq", type=int, metavar="SEQ", help="number of the record")
    erase.add_argument("--reason", required=True, help="why; kept, so without what is erased")
    erase.add_argument("--by", help="who (default the user of this machine)")
    add_client_options(erase)
    erase.set_defaults(run=_erase)


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="URI", help="URI of the store (default EXPORTER_STORE)")


def _add_period(parser: argparse.ArgumentParser, start: str) -> None:
    parser.add_argument(
        "--from", dest="start", type=_time, metavar="TIME", help=f"ISO 8601, in UTC (default {start})"
    )
    parser.add_argument("--to", dest="end", type=_time, metavar="TIME", help="exclusive (default now)")


# -- commands ------------------------------------------------------------------------------------------------


def _verify(options: argparse.Namespace) -> int:
    from exporter.audit.export_files import read_rows
    from exporter.audit.export_verification import verify_export
    from exporter.audit.findings import Result, describe, to_json
    from exporter.audit.key_file import read_public_keys
    from exporter.audit.read_only import reading
    from exporter.audit.verification import verify_store

    keys = [key for path in options.key or _key_files(options) for key in read_public_keys(path)]
    witnesses = _witnesses(options, keys)
    found: Result
    if options.file is not None:
        name = str(options.file)
        try:
            found = verify_export(read_rows(options.file), witnesses, keys)
        except OSError as error:
            raise ConfigError(f"{options.file} cannot be read: {error.strerror}") from None
    else:
        name = "the store"
        with reading(_settings(options).store) as connection:
            found = verify_store(connection, witnesses, keys)
    if options.json:
        print(json.dumps(to_json(found, name, witnesses), indent=2))
    else:
        print("\n".join(describe(found, name, witnesses)))
    return 0 if found.proven else 1


def _export(options: argparse.Namespace) -> int:
    from exporter.audit.export import Selection, export_rows
    from exporter.audit.export_files import write_rows
    from exporter.audit.read_only import reading

    form = options.format or _by_name(options.output, {".csv": "csv", ".parquet": "parquet"}, "jsonl")
    if options.version and not options.model:
        raise ConfigError("--version needs --model")
    selection = Selection(options.model, options.version, options.start, options.end)
    with reading(_settings(options).store) as connection, _sink(options.output) as sink:
        write_rows(export_rows(connection, selection, time.time()), form, sink)
    return 0


def _report(options: argparse.Namespace) -> int:
    form = options.format or _by_name(options.output, {".html": "html", ".htm": "html"}, "markdown")
    now = time.time()
    end = min(now, options.end) if options.end is not None else now
    start = options.start if options.start is not None else end - REPORT_DAYS * DAY_SECONDS
    if options.store:
        parts: Any = [_report_of_store(options, form, start, end)]
    else:
        parts = _report_of_exporter(options, form, start, end)
    with _sink(options.output) as sink:
        for part in parts:
            sink.write(part)
    return 0


def _report_of_exporter(options: argparse.Namespace, form: Any, start: float, end: float) -> Iterator[bytes]:
    path = f"/v1/{version_path(options.model, options.version)}/report"
    query = {"from": _iso(start), "to": _iso(end), "format": form, "by": user_name()}
    with connect(options, REPORT_TIMEOUT_SECONDS) as exporter:
        yield from exporter.chunks(path, query)


def _report_of_store(options: argparse.Namespace, form: Any, start: float, end: float) -> bytes:
    from exporter.audit.read_only import reading
    from exporter.audit.report import write_report

    with reading(options.store) as connection:
        asked_by = user_name() or "an unnamed user"
        text = write_report(
            connection, options.model, options.version, (start, end), time.time(), asked_by, form
        )
    return text.encode()


def _checkpoint(options: argparse.Namespace) -> int:
    from exporter.audit.checkpoint import checkpoints
    from exporter.audit.read_only import reading

    with reading(_settings(options).store) as connection:
        newest = deque(checkpoints(connection), maxlen=1)
    if not newest:
        raise ExporterError("the trail has no signed checkpoint yet; one is made every hour")
    print(newest[0].note, end="")
    return 0


def _erase(options: argparse.Namespace) -> int:
    query = {"reason": options.reason, "by": options.by or user_name()}
    with connect(options) as exporter:
        answer = exporter.post(f"/v1/audit/{options.seq}/erase", query)
    print(f"the content of record {options.seq:,} is erased; record {answer['seq']:,} says so")
    return 0


# -- parts ---------------------------------------------------------------------------------------------------


def _key_files(options: argparse.Namespace) -> list[Path]:
    """The public keys that the exporter keeps beside its signing key, where a store is verified beside it."""
    from exporter.audit.key_file import PUBLIC_SUFFIX, key_path

    path = key_path(_settings(options)) if options.file is None else None
    public = path.with_name(path.name + PUBLIC_SUFFIX) if path is not None else None
    return [public] if public is not None and public.exists() else []


def _witnesses(options: argparse.Namespace, keys: list[str]) -> list[Anchor]:
    from exporter.audit.anchors import note_anchor, prometheus_anchors, tag_anchor

    found = []
    for path in options.checkpoint:
        try:
            text = path.read_text("utf-8")
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
        except ValueError:
            raise ConfigError(f"{path} is no text") from None
        found.append(note_anchor(text, str(path), keys) if "\n\n" in text else tag_anchor(text, str(path)))
    if options.prometheus:
        found += prometheus_anchors(options.prometheus, time.time(), options.selector)
    return found


def _settings(options: argparse.Namespace) -> Settings:
    return load_settings(os.environ, {"store": options.store})


@contextmanager
def _sink(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that is there once it is complete."""
    if path is None:
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # of `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the exit
            raise ExporterError("the output was closed before its end") from None
        return
    partial = path.with_name(f"{path.name}.part")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def _by_name(path: Path | None, formats: dict[str, str], otherwise: str) -> Any:
    return formats.get(path.suffix.lower(), otherwise) if path is not None else otherwise


def _time(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
        return max(0.0, (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-11-01T12:00") from None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
