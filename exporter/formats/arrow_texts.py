"""Texts that stay Arrow's. As Python's they may take many times as much, so those are made one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from exporter.typing import Ints

_HASHED_AT_ONCE = 65_536


class ArrowTexts(Sequence[str]):
    """`array` (texts,) of valid UTF-8, without nulls."""

    def __init__(self, array: pa.Array) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> ArrowTexts: ...
    def __getitem__(self, index: int | slice) -> str | ArrowTexts:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        text: str = self._array[index].as_py()
        return text

    def __iter__(self) -> Iterator[str]:
        for text in self._array:
            yield text.as_py()

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """`text_hash` of each."""
        wide = pa.types.is_large_string(self._array.type)
        _, ends, texts = self._array.buffers()
        view = memoryview(texts if texts is not None else b"")
        places = np.frombuffer(ends, np.int64 if wide else np.int32)[self._array.offset :]
        hashes = np.empty(len(self), np.uint64)
        for start in range(0, len(self), _HASHED_AT_ONCE):
            some = places[start : min(start + _HASHED_AT_ONCE, len(self)) + 1].tolist()
            hashes[start : start + len(some) - 1] = [hash_utf8(view[a:b]) for a, b in pairwise(some)]
        return hashes

    @property
    def lengths(self) -> Ints:
        """(texts,) bytes of each."""
        return np.asarray(pc.binary_length(self._array).to_numpy(), np.int64)

    def take(self, places: Ints) -> ArrowTexts:
        """The texts at these places, and what is known of them."""
        taken = ArrowTexts(self._array.take(pa.array(places)))
        if "hashes" in vars(self):
            vars(taken)["hashes"] = self.hashes[places]
        return taken

    def first(self, count: int) -> Ints:
        """Places of those that come first in the alphabet."""
        found = pc.select_k_unstable(self._array, count, sort_keys=[("", "ascending")])
        return np.asarray(found.to_numpy(), np.int64)

    def find(self, names: Sequence[str]) -> Ints:
        """(texts,) place of each text among the names, -1 where it is none of them."""
        # As binary, since a name may hold half a surrogate pair.
        kind = pa.large_binary() if pa.types.is_large_string(self._array.type) else pa.binary()
        wanted = pa.array([name.encode("utf-8", "surrogatepass") for name in names], kind)
        found = pc.index_in(self._array.cast(kind), wanted)
        return np.asarray(found.fill_null(-1).to_numpy(), np.int64)


def hash_utf8(text: bytes | memoryview) -> int:
    """64-bit hash, the same in every process."""
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")
