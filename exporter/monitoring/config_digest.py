"""Digests of configuration, by which the audit trail says what was in force.

SHA-256 of JSON with sorted keys. A digest does not show the configuration: a URL in it may hold a password.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from exporter.config.file import ConfigFile
from exporter.config.models import ModelConfig
from exporter.evaluation.context import Thresholds
from exporter.formats.texts import redact
from exporter.settings import Settings, Window

_NO_VERDICTS = {"importance", "reports", "sample"}  # sections of a model that decide on no verdict


def digest_of_config(config: ModelConfig, thresholds: Thresholds, windows: Sequence[Window]) -> str:
    """Digest of all that decides on a version's verdicts besides its reference and its data."""
    return _digest(
        {
            "config": config.model_dump(mode="json", exclude=_NO_VERDICTS),
            "drift": thresholds.drift,
            "drift_by_column": dict(thresholds.drift_by_column),
            "windows": [window.seconds for window in windows],
        }
    )


def digest_of_file(config: ConfigFile) -> str:
    """Digest of a configuration file's content: comments, order and spelling do not count."""
    return _digest(config.model_dump(mode="json"))


def digest_of_settings(settings: Settings) -> str:
    """Digest of the settings, without the store's password."""
    return _digest(asdict(settings) | {"store": redact(settings.store)})


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
