"""When reports are sent, tried again, and given up; destinations are played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter.errors import SendingError
from exporter.exposition.reports import ReportsTelemetry
from exporter.reports.sending import (
    CLAIM_SECONDS,
    MAX_BACKOFF_SECONDS,
    MAX_REFUSALS,
    MAX_REST_SECONDS,
    REST_SECONDS,
    ReportSending,
)
from exporter.storage.report_sending import DestinationName
from exporter.storage.reports import StoredReport
from exporter.storage.store import Store
from tests.support.done_reports import MADE_AT, add_done_report, read_report
from tests.support.fakes import Clock

DOWN = SendingError("it is down", down=True)
REFUSAL = SendingError("it has no room", down=False)


@dataclass
class Place:
    """A destination that takes reports, or fails as a test says; `taken` are the ids that it was sent."""

    name: DestinationName
    error: BaseException | None = None
    on: bool = True
    taken: list[str] = field(default_factory=list)
    asked: int = 0

    def is_on(self) -> bool:
        return self.on

    def send(self, report: StoredReport) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.taken.append(report.id)
        return f"{self.name}-{report.id}"


@dataclass
class Post:
    """An exporter that sends reports of a store."""

    store: Store
    clock: Clock
    mlflow: Place = field(default_factory=lambda: Place("mlflow"))
    evidently: Place = field(default_factory=lambda: Place("evidently"))
    leads: bool = True

    def __post_init__(self) -> None:
        self.metrics = CollectorRegistry()
        telemetry = ReportsTelemetry(self.metrics, self.clock)
        self.sending = ReportSending(
            self.store, [self.mlflow, self.evidently], telemetry, self.clock, lambda: self.leads
        )

    def restart(self) -> Post:
        return Post(self.store, self.clock, self.mlflow, self.evidently)

    def states(self, report_id: str = "4f2a") -> tuple[str, str]:
        report = read_report(self.store, report_id)
        return report.mlflow_state, report.evidently_state

    def counted(self, destination: str, outcome: str) -> float | None:
        labels = {"destination": destination, "outcome": outcome}
        return self.metrics.get_sample_value("mlflow_exporter_report_sendings_total", labels)

    def unsent(self, destination: str) -> float | None:
        return self.metrics.get_sample_value("mlflow_exporter_reports_unsent", {"destination": destination})


@pytest.fixture
def post(store: Store) -> Post:
    return Post(store, Clock(MADE_AT + 60))


@pytest.fixture
def embedded_post(open_store: Callable[[str], Store], tmp_path: Any) -> Post:
    """With SQLite only: what is tested is not of the store."""
    return Post(open_store(f"sqlite:///{tmp_path / 'exporter.db'}"), Clock(MADE_AT + 60))


def test_a_report_is_sent_once_to_each_destination(post: Post) -> None:
    add_done_report(post.store)
    assert post.unsent("mlflow") is None
    for _ in range(2):
        post.sending.step()
        post.clock.advance(CLAIM_SECONDS + 1)
    report = read_report(post.store)
    assert (report.mlflow_state, report.mlflow_run_id) == ("sent", "mlflow-4f2a")
    assert (report.evidently_state, report.evidently_run_id) == ("sent", "evidently-4f2a")
    assert (report.send_after, report.send_problem) == (None, "")
    assert (post.mlflow.taken, post.evidently.taken) == (["4f2a"], ["4f2a"])
    assert (post.counted("mlflow", "sent"), post.unsent("mlflow")) == (1, 0)


def test_nothing_is_sent_while_another_exporter_may_lead(embedded_post: Post) -> None:
    add_done_report(embedded_post.store)
    embedded_post.leads = False
    embedded_post.sending.step()
    assert embedded_post.mlflow.taken == []
    assert embedded_post.states() == ("waiting", "waiting")
    embedded_post.leads = True
    embedded_post.sending.step()
    assert embedded_post.mlflow.taken == ["4f2a"]


def test_while_a_destination_is_down_reports_wait_for_it_and_lose_nothing(embedded_post: Post) -> None:
    post = embedded_post
    for number in range(3):
        add_done_report(post.store, f"{number}", created_at=MADE_AT + number)
    post.mlflow.error = DOWN
    for rest in (REST_SECONDS, 2 * REST_SECONDS, 4 * REST_SECONDS):
        before = post.mlflow.asked
        post.sending.step()
        post.clock.advance(rest - 1)
        post.sending.step()
        assert post.mlflow.asked == before + 1  # of three that wait, and once a rest
        post.clock.advance(2)
    assert post.evidently.taken == ["0", "1", "2"]
    for number in range(3):
        report = read_report(post.store, f"{number}")
        assert (report.mlflow_state, report.send_problem) == ("waiting", "MLflow: it is down")
        assert (report.send_attempts, report.evidently_state) == (0, "sent")
    assert post.unsent("mlflow") == 3
    post.mlflow.error = None
    post.clock.advance(MAX_REST_SECONDS)
    post.sending.step()
    assert post.mlflow.taken == ["0", "1", "2"]
    assert post.evidently.taken == ["0", "1", "2"]
    assert read_report(post.store, "2").send_problem == ""


def test_a_refused_report_is_tried_again_ever_later_also_after_restarts_and_then_given_up(
    embedded_post: Post,
) -> None:
    post = embedded_post
    add_done_report(post.store, "refused")
    post.mlflow.error = REFUSAL
    for refusal in range(1, MAX_REFUSALS + 1):
        post.sending.step()
        assert post.mlflow.asked == refusal
        post = post.restart()
        post.clock.advance(min(REST_SECONDS * 2 ** (refusal - 1), MAX_BACKOFF_SECONDS) - 1)
        post.sending.step()
        assert post.mlflow.asked == refusal
        post.clock.advance(1)
    assert post.states("refused") == ("given_up", "sent")
    assert read_report(post.store, "refused").send_problem == "MLflow: it has no room"
    post.mlflow.error = None
    add_done_report(post.store, "next")
    post.clock.advance(MAX_BACKOFF_SECONDS)
    post.sending.step()
    assert post.mlflow.taken == ["next"]


def test_an_unexpected_error_is_a_refusal(embedded_post: Post, caplog: pytest.LogCaptureFixture) -> None:
    add_done_report(embedded_post.store)
    embedded_post.mlflow.error = ZeroDivisionError("division by zero")
    embedded_post.sending.step()
    report = read_report(embedded_post.store)
    assert report.send_problem == "MLflow: internal error: division by zero"
    assert (report.mlflow_state, report.send_attempts, report.evidently_state) == ("waiting", 1, "sent")
    assert embedded_post.counted("mlflow", "refused") == 1


def test_after_a_kill_while_it_was_sent_a_report_is_sent_again_when_the_claim_is_over(post: Post) -> None:
    add_done_report(post.store)
    post.evidently.error = KeyboardInterrupt()  # nothing of the exporter's handles it
    with pytest.raises(KeyboardInterrupt):
        post.sending.step()
    assert post.mlflow.taken == ["4f2a"]
    post = post.restart()
    post.evidently.error = None
    post.sending.step()
    assert post.evidently.taken == []
    post.clock.advance(CLAIM_SECONDS + 1)
    post.sending.step()
    assert post.states() == ("sent", "sent")
    assert post.mlflow.taken == ["4f2a", "4f2a"]  # which finds the run of the first


def test_of_several_exporters_one_sends_a_report(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    add_done_report(post.store)
    other = post.restart()

    def send_meanwhile(report: StoredReport) -> None:
        monkeypatch.undo()
        other.sending.step()
        post.sending._send(report)

    monkeypatch.setattr(post.sending, "_send", send_meanwhile)
    post.sending.step()
    assert post.mlflow.taken == ["4f2a"]
    assert post.states() == ("sent", "sent")


def test_a_destination_that_was_switched_off_is_waited_for_no_longer(embedded_post: Post) -> None:
    add_done_report(embedded_post.store)
    embedded_post.evidently.on = False
    embedded_post.sending.step()
    assert embedded_post.states() == ("sent", "off")
    assert embedded_post.evidently.asked == 0


def test_a_stop_ends_with_the_present_report(embedded_post: Post) -> None:
    for number in range(3):
        add_done_report(embedded_post.store, f"{number}", created_at=MADE_AT + number)
    send = embedded_post.mlflow.send

    def stop_and_send(report: StoredReport) -> str:
        embedded_post.sending.stop()
        return send(report)

    embedded_post.mlflow.send = stop_and_send  # type: ignore[method-assign]
    embedded_post.sending.step()
    assert embedded_post.mlflow.taken == ["0"]
