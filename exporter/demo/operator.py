"""The person in the demo of remediation: approves the promotion, and asks for the trail at the end.

With the commands that anybody would use, which are shown.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from exporter.demo.observation import Remediation

PATIENCE_SECONDS = 10.0  # for whoever watches to approve it
COMMAND_SECONDS = 60.0
ACTED = ("applied", "verifying", "recovered", "not_recovered")
ENDED = ("recovered", "not_recovered", "failed", "conflict", "interrupted", "expired")


class Operator:
    """Approves what waits for approval, and tells when the promotion has ended.

    Args:
        exporter_url: address of the exporter.
        token_file: with a token whose scopes are approve and admin.
        store: URI of the exporter's store.
        prometheus_url: address of Prometheus, which has witnessed the audit trail's checkpoints.
        say: shows a text that stays.
    """

    def __init__(
        self,
        exporter_url: str,
        token_file: Path,
        store: str,
        prometheus_url: str,
        say: Callable[[str], None],
    ) -> None:
        self._address = ["--exporter", exporter_url, "--token-file", str(token_file)]
        self._store = store
        self._prometheus_url = prometheus_url
        self._say = say
        self._waiting_since: dict[str, float] = {}

    def advance(self, remediations: Sequence[Remediation], now: float) -> None:
        """Approve what has waited for longer than PATIENCE_SECONDS."""
        for found in remediations:
            if found.state != "awaiting_approval":
                self._waiting_since.pop(found.id, None)
            elif found.id not in self._waiting_since:
                self._waiting_since[found.id] = now
                self._say(f"{found.action} waits for approval. It will be given in {PATIENCE_SECONDS:.0f} s.")
            elif now - self._waiting_since[found.id] > PATIENCE_SECONDS:
                self._waiting_since[found.id] = now
                self._run(
                    "remediation",
                    "approve",
                    found.id,
                    "--reason",
                    "better on the same flights",
                    *self._address,
                )

    def promoted(self, remediations: Sequence[Remediation]) -> bool:
        """Return true once the promotion has ended, well or not."""
        return any(found.action == "promote" and found.state in ENDED for found in remediations)

    def report(self, remediations: Sequence[Remediation]) -> None:
        """Show the trail of each action, and its verification."""
        for found in reversed(remediations):
            if found.state in ACTED:
                self._run("remediation", "show", found.id, *self._address)
        self._run("audit", "verify", "--store", self._store, "--prometheus", self._prometheus_url)

    def _run(self, *arguments: str) -> None:
        shown = [part for part in arguments if part not in self._address]
        self._say(f"\n$ mlflow-exporter {' '.join(shown)}")
        done = subprocess.run(
            [sys.executable, "-m", "exporter", *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        self._say((done.stdout + done.stderr).rstrip())
