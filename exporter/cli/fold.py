"""`mlflow-exporter fold`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from exporter.cli.client import add_client_options, connect
from exporter.errors import CallRefusedError, ConfigError
from exporter.formats.texts import printable
from exporter.payloads.columns import OWN_FIELDS

if TYPE_CHECKING:
    from exporter.cli.commands import Commands
    from exporter.folding.part import Part
    from exporter.folding.reference_document import FoldingReference

LOSSY, STALE = 3, 409
ATTEMPTS = 3  # of folding, where the reference changes meanwhile
FORMATS = ("parquet", "arrow", "orc")
DESCRIPTION = """\
Count the rows of files where they are, in the bins of a version's reference, and send the counts: some
kilobytes, whatever the number of rows. Labels are counted if they are in the rows. Ids are not sent: labels
cannot come later, and rows that come twice count twice. Counts with the same source and sequence count once,
so that a command can be given again. See exporter/folding/README.md.
"""
EPILOG = """\
exit status: 0 all rows count; 1 not everything was sent, give the command again; 2 it cannot be used as
given; 3 rows were dropped, since they are older than the exporter takes or ahead of its clock
"""


def add(commands: Commands) -> None:
    fold = commands.add_parser(
        "fold",
        help="count rows of files here, and send the counts",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fold.add_argument("paths", nargs="+", metavar="PATH", help="a file, or a directory of files")
    fold.add_argument("--model", required=True, help="the registered model's name")
    fold.add_argument("--version", required=True, help="the version that predicted")
    fold.add_argument("--source", required=True, help="name of who counts, such as that of this job")
    fold.add_argument(
        "--sequence",
        required=True,
        type=int,
        help="number of these rows among those of the source, greater than that of the last ones: 20261129",
    )
    fold.add_argument(
        "--format", default="parquet", help=f"one of {', '.join(FORMATS)}; of Spark, any it has"
    )
    fold.add_argument("--spark", action="store_true", help="read and count with Spark")
    fold.add_argument("--hourly", action="store_true", help="count by hour: for days that are past")
    fold.add_argument(
        "--untimed-at", metavar="TIME", help="of rows without a time, ISO 8601; they are refused without it"
    )
    columns = fold.add_argument_group("columns", "Columns that are not called as the exporter calls them.")
    for name in OWN_FIELDS[1:]:
        columns.add_argument(f"--{name.replace('_', '-')}", metavar="COLUMN", dest=f"column_{name}")
    add_client_options(fold)
    fold.set_defaults(run=_fold)


def _fold(options: argparse.Namespace) -> int:
    from exporter.folding.sending import fetch_reference, send_parts

    with connect(options) as connection:
        for attempt in range(1, ATTEMPTS + 1):
            reference = fetch_reference(connection, options.model, options.version)
            parts = _parts(options, reference)
            rows = sum(part.rows for part in parts)
            print(f"{rows:,} rows in {len(parts):,} blocks")
            try:
                sent = send_parts(connection, reference, parts, options.source, options.sequence)
                break
            except CallRefusedError as error:
                if error.status != STALE or attempt == ATTEMPTS:
                    raise
                print(printable(f"the reference has changed, counting again: {error.detail}"))
    print(f"  accepted    {sent.accepted:>14,}")
    print(f"  duplicates  {sent.duplicates:>14,}  counted before, by this source and sequence")
    for reason, count in sorted(sent.dropped.items()):
        print(f"  dropped     {count:>14,}  {reason}")
    return LOSSY if sent.dropped else 0


def _parts(options: argparse.Namespace, reference: FoldingReference) -> list[Part]:
    names = {name: getattr(options, f"column_{name}") for name in OWN_FIELDS[1:]}
    names = {name: column for name, column in names.items() if column}
    untimed_at = None
    if options.untimed_at:
        from exporter.formats.columns import parse_time

        try:
            untimed_at, _ = parse_time(options.untimed_at)
        except ValueError:
            raise ConfigError(f"--untimed-at {options.untimed_at!r} is no time of ISO 8601") from None
    if options.spark:
        from pyspark.sql import SparkSession

        from exporter.folding.spark import fold_frame

        session = SparkSession.builder.appName("mlflow-exporter fold").getOrCreate()
        frame = session.read.format(options.format).load(options.paths)
        return fold_frame(frame, reference, names=names, hourly=options.hourly, untimed_at=untimed_at)
    if options.format not in FORMATS:
        raise ConfigError(f"--format {options.format!r}: taken are {', '.join(FORMATS)}; others with --spark")
    from exporter.folding.dataset import fold_files

    folder = fold_files(
        options.paths,
        reference,
        file_format=options.format,
        names=names,
        hourly=options.hourly,
        untimed_at=untimed_at,
    )
    return folder.parts
