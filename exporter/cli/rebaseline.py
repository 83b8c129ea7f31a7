"""`mlflow-exporter rebaseline`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.cli.client import add_client_options, connect, user_name
from exporter.errors import ConfigError
from exporter.formats.addresses import version_path
from exporter.formats.raw import PARQUET_TYPE

if TYPE_CHECKING:
    from exporter.cli.commands import Commands

TIMEOUT_SECONDS = 600.0  # all labels of the version are counted anew


def add(commands: Commands) -> None:
    rebaseline = commands.add_parser(
        "rebaseline",
        help="replace the reference of a version, on purpose",
        description="Ask a running exporter to replace the reference of a version. EXPORTER_API_TOKEN_FILE "
        "names the file with its token.",
    )
    rebaseline.add_argument("model")
    rebaseline.add_argument("version")
    source = rebaseline.add_mutually_exclusive_group(required=True)
    source.add_argument("--live", metavar="24h", help="a sample of the rows that came in so long")
    source.add_argument("--file", type=Path, help="Parquet with the columns of a reference")
    rebaseline.add_argument("--reason", required=True, help="why; kept with the change")
    rebaseline.add_argument("--by", help="who (default the user of this machine)")
    add_client_options(rebaseline)
    rebaseline.set_defaults(run=_rebaseline)


def _rebaseline(options: argparse.Namespace) -> int:
    """Replace a version's reference and print the new one."""
    try:
        body = options.file.read_bytes() if options.file else b""
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}") from None
    path = f"/v1/{version_path(options.model, options.version)}/rebaseline"
    query = {"by": options.by or user_name(), "reason": options.reason, "live": options.live}
    with connect(options, TIMEOUT_SECONDS) as exporter:
        answer = exporter.post(path, query, body, PARQUET_TYPE)
    print(f"{options.model} version {options.version}: {answer['rows']:,} rows are its reference")
    print(f"  {answer['old_digest'][:12] or 'none'} -> {answer['new_digest'][:12]}")
    for note in answer["notes"]:
        print(f"  {note}")
    return 0
