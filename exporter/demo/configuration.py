"""The demo's configuration of the exporter, and its tokens."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Any

from exporter.demo.observation import CHALLENGER_ALIAS, CHAMPION_ALIAS
from exporter.demo.scenario import MODEL, Pace

DRIFT_ALERT, CHALLENGER_ALERT = "ModelFeatureDrift", "ModelChallengerBetter"
SCOPES = {"traffic": "ingest", "alertmanager": "alerts", "operator": "approve,admin"}  # of tokens
# Of rollbacks: new figures of the version before have to follow the move.
VERIFY_SECONDS = 10
REPORT_PAUSE_SECONDS = 120  # weeks of the demo's time


def configuration(pace: Pace, directory: Path, *, remediate: bool, evidently_url: str = "") -> dict[str, Any]:
    """Return the configuration file: reports, and a rollback that is rehearsed or, with `remediate`, the
    whole loop.

    Args:
        pace: at which a retrained model is to be compared.
        directory: for what the retraining writes.
        remediate: let the exporter act.
        evidently_url: of Evidently's UI; empty if there is none.
    """
    reports = {"pause": f"{REPORT_PAUSE_SECONDS}s", "evidently_url": evidently_url}
    model = {"model": MODEL, "alias": CHAMPION_ALIAS}
    rollback = {
        "name": "champion-rollback",
        "match": {"alertname": DRIFT_ALERT},
        **model,
        "action": "rollback",
        # The version before gets the same inputs, so this helps only where the new one expects others.
        "force": True,
        "verify": {"after": f"{VERIFY_SECONDS}s"},
    }
    if not remediate:
        return {"reports": reports, "remediation": {"mode": "dry_run", "policies": [rollback]}}
    retrain = {
        "name": "champion-retrain",
        "match": {"alertname": DRIFT_ALERT},
        **model,
        "action": "retrain",
        "target": "training",
        "challenger_alias": CHALLENGER_ALIAS,
    }
    promote = {
        "name": "challenger-promote",
        "match": {"alertname": CHALLENGER_ALERT},
        **model,
        "action": "promote",
        "mode": "approve",
        "cooldown": "1s",
        "verify": {"after": f"{VERIFY_SECONDS}s"},
    }
    training = {
        "kind": "command",
        "command": [sys.executable, "-m", "exporter.demo.retrain"],
        "directory": str(directory / "retraining"),
        "body": {"action_id": "{action_id}", "seconds_per_day": str(pace.seconds_per_day)},
    }
    return {
        "reports": reports,
        "remediation": {
            "mode": "auto",
            "targets": {"training": training},
            "policies": [rollback, retrain, promote],
        },
    }


class Tokens:
    """Tokens of the exporter's clients, each allowed to do one thing, in files within a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.all = directory / "tokens"
        self.tokens = {name: secrets.token_urlsafe(32) for name in SCOPES}
        for name, token in self.tokens.items():
            self.file(name).write_text(token)
        self.all.write_text(
            "".join(f"{name}: {self.tokens[name]} {scopes}\n" for name, scopes in SCOPES.items())
        )

    def file(self, name: str) -> Path:
        """Return the file with the token of a client."""
        return self._directory / f"{name}.token"
