"""Connection to a running exporter, which has its store to itself, for the commands that ask it."""

from __future__ import annotations

import argparse
import getpass
import os
from typing import TYPE_CHECKING

from exporter.errors import ConfigError
from exporter.settings import Settings
from exporter.tokens import read_secret

if TYPE_CHECKING:
    from exporter.client.connection import Connection

TIMEOUT_SECONDS = 60.0
DEFAULT_URL = f"http://{Settings.host}:{Settings.port}"
TOKEN_VARIABLE = "EXPORTER_API_TOKEN_FILE"  # noqa: S105 - the name of a variable


def connect(options: argparse.Namespace, timeout_seconds: float = TIMEOUT_SECONDS) -> Connection:
    """Return the connection that the options of `add_client_options` describe.

    Raises:
        ConfigError: the file with the token cannot be read, or the address is not a URL.
    """
    from exporter.client.connection import Connection  # httpx, which `--help` does without

    path = options.token_file or os.environ.get(TOKEN_VARIABLE, "").strip()
    token = read_secret(path)
    if path and not (token.isascii() and token.isprintable() and " " not in token and token):
        raise ConfigError(f"{path} has to hold a token, and nothing else")
    return Connection(options.exporter, token, timeout_seconds=timeout_seconds)


def add_client_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `connect` reads."""
    parser.add_argument(
        "--exporter",
        default=DEFAULT_URL,
        metavar="URL",
        help="address of the running exporter (default %(default)s)",
    )
    parser.add_argument(
        "--token-file", metavar="FILE", help=f"file with your token (default the one in {TOKEN_VARIABLE})"
    )


def user_name() -> str:
    """Return the name of this machine's user, empty where it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return ""
