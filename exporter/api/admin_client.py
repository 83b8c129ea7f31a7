"""HTTP client of `mlflow-exporter rebaseline`: asks the running exporter, which has its store to itself."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from exporter.errors import ConfigError, ExporterError
from exporter.formats.raw import PARQUET_TYPE

REBASELINE_SECONDS = 600.0  # all labels of the version are counted anew


class RefusedError(ExporterError):
    """The exporter refused, or cannot be reached."""


def rebaseline(options: argparse.Namespace) -> None:
    """Replace a version's reference and print the new one.

    Raises:
        ConfigError: a file cannot be read, or the address is not a URL.
        RefusedError: the exporter refused, or cannot be reached.
    """
    if not options.exporter.startswith(("http://", "https://")):
        raise ConfigError(f"{options.exporter!r} is no address such as http://127.0.0.1:19464")
    query = {"by": options.by or getpass.getuser(), "reason": options.reason}
    query |= {"live": options.live} if options.live else {}
    names = f"{quote(options.model)}/versions/{quote(options.version, safe='')}"
    url = f"{options.exporter.rstrip('/')}/v1/models/{names}/rebaseline?{urlencode(query)}"
    try:
        body = options.file.read_bytes() if options.file else b""
        token_file = os.environ.get("EXPORTER_API_TOKEN_FILE", "").strip()
        token = Path(token_file).read_text("utf-8").strip() if token_file else ""
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}") from None
    headers = {"Content-Type": PARQUET_TYPE} | ({"Authorization": f"Bearer {token}"} if token else {})
    answer = _post(urllib.request.Request(url, body, headers))  # noqa: S310 - the scheme was checked
    print(f"{options.model} version {options.version}: {answer['rows']:,} rows are its reference")  # noqa: T201
    print(f"  {answer['old_digest'][:12] or 'none'} -> {answer['new_digest'][:12]}")  # noqa: T201
    for note in answer["notes"]:
        print(f"  {note}")  # noqa: T201


def _post(request: urllib.request.Request) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(request, timeout=REBASELINE_SECONDS) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        try:
            detail = json.load(error)["detail"]
        except (ValueError, KeyError, TypeError):
            detail = error.reason
        raise RefusedError(f"the exporter refused ({error.code}): {detail}") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise RefusedError(
            f"the exporter at {request.host} cannot be reached: {getattr(reason, 'strerror', None) or reason}"
        ) from None
