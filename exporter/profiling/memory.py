"""Limits on the freed memory that allocators keep."""

from __future__ import annotations

import ctypes
import gc

import pyarrow as pa

M_ARENA_MAX = -8  # of glibc's malloc.h
MAX_ARENAS = 2


def limit_arenas() -> None:
    """Limit glibc to two arenas for all threads; to be called before any starts.

    By default there are eight for each processor. Each keeps what its threads freed, and MLflow's client
    starts threads for every file that it downloads.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, MAX_ARENAS)


def release_memory() -> None:
    """Return freed memory to the system; after a reference glibc would keep some hundred megabytes.

    MLflow's client ties each file that it downloads, and the threads that do it, into a cycle, and the
    process looks for cycles rarely: see `cli`.
    """
    gc.collect()
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
