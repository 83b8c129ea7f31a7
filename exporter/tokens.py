"""Tokens of the API: who may do what.

A file of named tokens has one `name: token scopes` a line; scopes are separated by commas:

    # name: token scopes
    alertmanager: 8Qn0J5mVx2kWc4Rt alerts
    grace: t7Hd1LqZp9sXb3Ye approve,audit
    dashboard: Zk4uW8eRm2aTq6Ns

A token without scopes may read. `admin` includes all others. The file with a single token gives it all
scopes and the name `default`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

from exporter.errors import ConfigError

Scope = Literal["ingest", "alerts", "approve", "audit", "reports", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
SINGLE_NAME = "default"  # of the token that has a file to itself

MIN_LENGTH = 16  # characters of a named token
MAX_TOKENS = 1000
MAX_FILE_BYTES = 2**20

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOKEN = re.compile(r"[!-~]+")
# Actors of the audit trail that are no tokens.
_RESERVED = {SINGLE_NAME, "system", "monitor", "mlflow", "anonymous", "remediation"}


@dataclass(frozen=True)
class Token:
    """A token, of which only the digest is kept. `named` is false for the one that has a file to itself."""

    name: str
    digest: bytes
    scopes: frozenset[Scope]
    named: bool = True

    def may(self, scope: Scope | None) -> bool:
        """Return true if the token has a scope; every token has None, which is to read."""
        return scope is None or scope in self.scopes or "admin" in self.scopes


def load_tokens(single_file: str, tokens_file: str) -> tuple[Token, ...]:
    """Read the tokens of both files; an empty path stands for none.

    Raises:
        ConfigError: a file cannot be used. The message has lines, and no part of a token.
    """
    found = [_read_single(single_file)] if single_file else []
    if tokens_file:
        found += _read_named(tokens_file)
        names = [each.name for each in found]
        digests = [each.digest for each in found]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise ConfigError(f"EXPORTER_API_TOKENS_FILE {tokens_file}: {name} is there twice")
            if digests[number] in digests[:number]:
                other = names[digests.index(digests[number])]
                raise ConfigError(f"EXPORTER_API_TOKENS_FILE {tokens_file}: {other} and {name} share a token")
    return tuple(found)


def find_token(tokens: tuple[Token, ...], given: str) -> Token | None:
    """Return the token with a text, None if there is none; all are compared, in constant time."""
    digest = sha256(given.encode()).digest()
    found = None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found


def _read_single(path: str) -> Token:
    text = _read("EXPORTER_API_TOKEN_FILE", path).strip()
    if not text:  # would authorize everybody
        raise ConfigError(f"EXPORTER_API_TOKEN_FILE {path} is empty")
    return Token(SINGLE_NAME, sha256(text.encode()).digest(), frozenset({"admin"}), named=False)


def _read_named(path: str) -> list[Token]:
    lines = _read("EXPORTER_API_TOKENS_FILE", path).splitlines()
    found = list(_parse(path, lines))
    if not found:
        raise ConfigError(f"EXPORTER_API_TOKENS_FILE {path} has no token")
    if len(found) > MAX_TOKENS:
        raise ConfigError(f"EXPORTER_API_TOKENS_FILE {path} has {len(found)} tokens, at most {MAX_TOKENS}")
    return found


def _parse(path: str, lines: list[str]) -> Iterator[Token]:
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, rest = line.partition(":")
        text, *further = rest.split(maxsplit=1) or [""]
        scopes = [each.strip() for each in "".join(further).split(",")] if further else []
        fault = _fault(name.strip(), colon, text, scopes)
        if fault:
            raise ConfigError(f"EXPORTER_API_TOKENS_FILE {path}:{number}: {fault}")
        known: frozenset[Scope] = frozenset(scope for scope in SCOPES if scope in scopes)
        yield Token(name.strip(), sha256(text.encode()).digest(), known)


def _fault(name: str, colon: str, text: str, scopes: list[str]) -> str:
    """Return what is wrong with a line; empty if nothing is."""
    if not colon:
        return "no `name: token`"
    if not _NAME.fullmatch(name):
        return "the name has to begin with a letter or digit, and consist of these and `.`, `_`, `@`, `-`"
    if name.lower() in _RESERVED:
        return f"{name} means something else in the audit trail; choose another name"
    if len(text) < MIN_LENGTH or not _TOKEN.fullmatch(text):
        return f"the token of {name} has to be {MIN_LENGTH} or more visible ASCII characters"
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:  # not shown: it may be part of a secret
        return f"{name} has an unknown scope; known are {', '.join(SCOPES)}, separated by commas"
    return ""


def read_secret(path: str) -> str:
    """Content of a file without white space around it; empty without a path.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        return Path(path).read_text("utf-8").strip() if path else ""
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{path} is no text") from None


def _read(variable: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(f"{variable} {path} is larger than {MAX_FILE_BYTES} bytes")
        return content.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{variable} {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{variable} {path} is no text") from None
