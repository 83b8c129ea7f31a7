"""Shards: which of several exporters monitors a model."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from exporter.errors import ConfigError, MisdirectedError

MAX_SHARDS = 256
SHARD_FIELD = "{shard}"  # in addresses of exporters, for the number of one
_CACHED_NAMES = 10_000  # those in requests may be any


@dataclass(frozen=True)
class Shard:
    """One of `shards` exporters, from 1 on, which share the names of models between them."""

    number: int = 1
    shards: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.shards}"

    @property
    def is_whole(self) -> bool:
        """True if there is one exporter, which monitors all models."""
        return self.shards == 1

    def has(self, name: str) -> bool:
        """True if a name is this shard's."""
        return self.is_whole or shard_of(name, self.shards) == self.number

    def require(self, model: str) -> None:
        """Check that a model is this shard's.

        Raises:
            MisdirectedError: it is another's, which the error names.
        """
        if not self.has(model):
            owner = shard_of(model, self.shards)
            raise MisdirectedError(
                f"model {model!r} is monitored by shard {owner}/{self.shards}, this is shard {self}",
                {"shard": owner, "shards": self.shards},
            )


WHOLE = Shard()  # one exporter for all models


@lru_cache(_CACHED_NAMES)
def shard_of(name: str, shards: int) -> int:
    """Number of the shard that has a name: that with the greatest SHA-256 of `<number>/<name>` in UTF-8.

    This is rendezvous hashing, so an added shard takes its share of names from all others, and no name moves
    between those. (Thaler and Ravishankar, 1998: Using name-based mappings to increase hit rates)

    >>> shard_of("fraud", 8), shard_of("fraud", 9)
    (6, 9)
    """
    names = (f"{number}/{name}".encode("utf-8", "surrogatepass") for number in range(1, shards + 1))
    digests = [hashlib.sha256(each).digest() for each in names]
    return digests.index(max(digests)) + 1


def parse_shard(text: str) -> Shard:
    """Parse a shard such as `2/8`.

    Raises:
        ConfigError: it is none.
    """
    match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text.strip())
    if match is None:
        raise ConfigError("it has to be as 2/8, the second of eight shards")
    number, shards = int(match[1]), int(match[2])
    if not 1 <= shards <= MAX_SHARDS:
        raise ConfigError(f"there may be 1 to {MAX_SHARDS} shards")
    if not 1 <= number <= shards:
        raise ConfigError(f"shards are numbered from 1 to {shards}")
    return Shard(number, shards)
