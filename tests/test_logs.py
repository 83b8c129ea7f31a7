"""Foreign texts in the log never start a line, and show no passwords."""

from __future__ import annotations

import io
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.errors import ReferenceInvalidError
from exporter.formats.texts import redact
from exporter.logs import LOG_FORMAT, LogFormatter, configure_logging
from exporter.registry.registry import Registry
from exporter.service import Service
from exporter.settings import Settings
from tests.support.fakes import FakeRegistry
from tests.support.rig import Rig, make_rows

FORGED = "2026-11-29 12:00:00,000 ERROR exporter.storage.store the store is lost"
RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [\w.]+ ")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log with the command's formatter."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogFormatter(LOG_FORMAT))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("fraud\n" + FORGED, r"fraud\n2026"),
        ("a\rb", r"a\rb"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\u2028b\u0085c", r"a\u2028b\x85c"),
        ("a\u202eb", r"a\u202eb"),
        ("a\ud800b", r"a\ud800b"),
        ("Grüße 雪", "Grüße 雪"),
    ],
)
def test_a_message_is_one_line_of_printable_characters(text: str, escaped: str) -> None:
    # Not logged: pytest-xdist ends when what it captured holds half a surrogate pair.
    arguments = (text, "1")
    record = logging.LogRecord("exporter.fleet", 30, "", 1, "%s version %s is monitored", arguments, None)
    line = LogFormatter(LOG_FORMAT).format(record)
    assert RECORD.match(line)
    assert escaped in line
    assert line.endswith(" version 1 is monitored")
    assert "\n" not in line


def test_no_line_of_a_traceback_looks_like_a_record(log: io.StringIO) -> None:
    try:
        raise ValueError(f"a\n{FORGED}\r{FORGED} of postgresql://ada:secret@db/x?password=secret")
    except ValueError:
        logging.getLogger("exporter.storage.store").exception("it failed", stack_info=True)
    first, *rest = log.getvalue().splitlines()
    assert RECORD.match(first)
    assert len(rest) > len(traceback.extract_stack())
    assert not any(RECORD.match(line) for line in rest)
    assert FORGED in log.getvalue()
    assert "secret" not in log.getvalue()


def test_a_model_a_reference_and_a_person_cannot_forge_a_line(
    log: io.StringIO, start: Callable[..., Rig]
) -> None:
    model = f"fraud\n{FORGED}"
    registry = FakeRegistry()
    registry.register(model, ReferenceInvalidError(f"a\n{FORGED}"), alias=f"champion\n{FORGED}")
    registry.register(model, OSError(f"b\n{FORGED}"), alias="challenger")
    registry.tag(model, drift_threshold=f"high\n{FORGED}")
    rig = start(registry=registry)
    rig.post_rows(make_rows(1), model=model, version="1")
    rig.poll()
    lines = log.getvalue().split("\n")
    assert FORGED in log.getvalue()
    assert not any(line.startswith(FORGED) for line in lines)
    assert all(RECORD.match(line) or line.startswith("  ") or not line for line in lines)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ada:secret@mlflow:5000/x", "http://***@mlflow:5000/x"),
        ("http://token@mlflow", "http://***@mlflow"),
        ("postgresql://ada:p@ss@db/exporter", "postgresql://***@db/exporter"),
        ("postgresql://ada:p/ss@db/exporter", "postgresql://***@db/exporter"),
        ("postgresql://ada:p?s#s@db/exporter", "postgresql://***@db/exporter"),
        ("postgresql://ada:@/@@db/exporter", "postgresql://***@db/exporter"),
        ("postgresql://:secret@db", "postgresql://***@db"),
        ("postgresql://db/x?user=ada&password=secret&sslmode=require",
         "postgresql://db/x?user=ada&password=***&sslmode=require"),
        ("postgresql://db/x?sslpassword=secret", "postgresql://db/x?sslpassword=***"),
        ("https://store/r.csv?X-Amz-Credential=AKIA&X-Amz-Signature=abc&x=1",
         "https://store/r.csv?X-Amz-Credential=***&X-Amz-Signature=***&x=1"),
        ("https://store/r.csv?sv=2024&sig=ab%2Fc", "https://store/r.csv?sv=2024&sig=***"),
        ("from http://a:secret@b/c to s3://d:e@f, and so on", "from http://***@b/c to s3://***@f, and so on"),
        ("models:/fraud@champion and http://mlflow/a@b", "models:/fraud@champion and http://mlflow/a@b"),
        ("ada@example.org", "ada@example.org"),
    ],
)  # fmt: skip
def test_users_passwords_and_signatures_are_left_out_of_urls(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize("piece", ["://:", "://a:", "?key", "?key=", "@", "://"])
def test_a_long_text_takes_no_long_time(piece: str) -> None:
    # Quadratic in its length it would be some minutes.
    assert len(redact(piece * 100_000)) > 0


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log as the command configures it."""
    stream = io.StringIO()
    loggers = {name: logging.getLogger(name) for name in ("", "urllib3")}
    levels = {name: logger.level for name, logger in loggers.items()}
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr("sys.stderr", stream)
    configure_logging(Settings().log_level)
    yield stream
    for name, level in levels.items():
        loggers[name].setLevel(level)


def test_the_command_logs_so(configured: io.StringIO) -> None:
    logging.getLogger("exporter.storage.store").info("one\ntwo of http://ada:secret@host")
    assert configured.getvalue().endswith(r" INFO exporter.storage.store one\ntwo of http://***@host" + "\n")


def test_an_mlflow_that_is_down_is_one_line_however_often_it_is_asked(
    configured: io.StringIO, mlflow_environment: None, free_port: int, tmp_path: Path
) -> None:
    registry = Registry(f"http://127.0.0.1:{free_port}", None, 5)
    service = Service(Settings(store=f"sqlite:///{tmp_path}/exporter.db"), registry)
    service.writer.start()
    try:
        assert service.runs is not None
        for _ in range(3):
            service.discovery.poll()
            service.runs.poll()
    finally:
        service.writer.stop()
        service.store.close()
    said = configured.getvalue().splitlines()
    lines = [line.partition(" WARNING ")[2] for line in said if " WARNING " in line]
    assert [line.partition(" ")[0] for line in lines] == [
        "exporter.monitoring.discovery",
        "exporter.monitoring.run_watcher",
    ]
