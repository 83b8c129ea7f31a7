"""Like `serve_alone`, but the process stops itself (SIGSTOP) within the transaction of the fifth commit."""

from __future__ import annotations

import os
import signal
from itertools import count

from exporter.ingest.changes import Changes
from exporter.storage.transaction import Transaction
from tests.support.serve_alone import serve

if __name__ == "__main__":
    write, number = Changes.write, count()

    def write_and_stop(self: Changes, transaction: Transaction) -> None:
        write(self, transaction)
        if self.lives and next(number) == 4:
            os.kill(os.getpid(), signal.SIGSTOP)

    Changes.write = write_and_stop  # type: ignore[method-assign]
    serve()
