"""The exporter, killed right after its third commit of messages: before it reads the next ones, or tells the
brokers anything. `python -m tests.support.serve_killed serve ...`."""

from __future__ import annotations

import os
import signal
from itertools import count
from typing import Any

from exporter.cli import main
from exporter.ingest.commit import GroupCommit

if __name__ == "__main__":
    commit, number = GroupCommit.commit, count(1)

    def commit_three(self: GroupCommit, *requests: Any, **options: Any) -> Any:
        answers = commit(self, *requests, **options)
        if next(number) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return answers

    GroupCommit.commit = commit_three  # type: ignore[method-assign]
    main()
