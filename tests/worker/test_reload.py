"""A worker that reads its files again."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.settings import Settings
from exporter.worker.worker import Worker


def test_a_file_of_tokens_that_is_mended_is_taken_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    worker = Worker(
        Settings(
            role="worker",
            store="postgresql://host/name",
            kafka_brokers=("127.0.0.1:9",),  # nothing is asked of them
            api_token_file=str(file),
        )
    )

    file.write_text("")
    with pytest.raises(ConfigError):
        worker.reload()
    assert worker.telemetry.config_successful is False
    file.write_text("0123456789abcdef\n")
    worker.reload()

    assert worker.telemetry.config_successful is True
    worker.stop()
