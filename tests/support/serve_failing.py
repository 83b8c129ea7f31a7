"""Like `serve_alone`, but memory runs out after the fifth commit, before its counts are applied in memory."""

from __future__ import annotations

from itertools import count

from exporter.ingest.changes import Changes
from tests.support.serve_alone import serve

if __name__ == "__main__":
    apply, number = Changes.apply, count()

    def apply_four(self: Changes) -> None:
        if self.lives and next(number) == 4:
            raise MemoryError
        apply(self)

    Changes.apply = apply_four  # type: ignore[method-assign]
    serve()
