"""The exporter's figures about itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from exporter.exposition.render import Format, render
from exporter.exposition.telemetry import Telemetry


def lines(telemetry: Telemetry) -> dict[str, str]:
    page = render((), Format.TEXT, [family for _, family in telemetry.families()]).decode()
    return dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))


def test_every_known_combination_is_there_from_zero() -> None:
    telemetry = Telemetry()
    telemetry.watch_version("fraud", "3")
    found = lines(telemetry)
    for outcome in ("accepted", "duplicate", "conflict", "rejected", "produced"):
        assert found[f'mlflow_exporter_ingest_rows_total{{kind="prediction",outcome="{outcome}"}}'] == "0.0"
    for reason in ("too_old", "future", "no_version"):
        assert found[f'mlflow_exporter_dropped_rows_total{{reason="{reason}"}}'] == "0.0"
    for stage in ("reference", "evaluation", "store"):
        labels = f'{{model="fraud",model_version="3",stage="{stage}"}}'
        assert found[f"mlflow_exporter_evaluation_errors_total{labels}"] == "0.0"
    for stage in ("ask", "follow"):
        assert found[f'mlflow_exporter_poll_errors_total{{stage="{stage}"}}'] == "0.0"
    assert found["mlflow_exporter_ingest_duration_seconds_count"] == "0.0"
    assert found["mlflow_exporter_queue_rows"] == "0.0"


def test_what_is_not_known_yet_is_absent() -> None:
    telemetry = Telemetry()
    unknown = {"mlflow_up", "mlflow_last_success_timestamp_seconds", "mlflow_exporter_store_bytes"}
    assert not unknown & lines(telemetry).keys()
    telemetry.mlflow_up = False
    telemetry.store_bytes = 0
    assert lines(telemetry)["mlflow_up"] == "0.0"
    assert lines(telemetry)["mlflow_exporter_store_bytes"] == "0.0"
    assert "mlflow_last_success_timestamp_seconds" not in lines(telemetry)


def test_only_known_addresses_are_shown() -> None:
    telemetry = Telemetry()
    telemetry.addresses = {"mlflow": "", "exporter": "https://monitor.example"}
    assert {line: value for line, value in lines(telemetry).items() if "address" in line} == {
        'mlflow_exporter_address_info{program="exporter",url="https://monitor.example"}': "1.0"
    }


def test_what_happens_is_counted() -> None:
    telemetry = Telemetry()
    telemetry.count_rows("prediction", "accepted", 500)
    telemetry.count_rows("prediction", "accepted")
    telemetry.count_dropped_rows("future", 2)
    telemetry.watch_version("fraud", "3")
    telemetry.count_evaluation_error("fraud", "3", "store")
    found = lines(telemetry)
    assert found['mlflow_exporter_ingest_rows_total{kind="prediction",outcome="accepted"}'] == "501.0"
    assert found['mlflow_exporter_dropped_rows_total{reason="future"}'] == "2.0"
    labels = '{model="fraud",model_version="3",stage="store"}'
    assert found[f"mlflow_exporter_evaluation_errors_total{labels}"] == "1.0"


def test_a_version_that_is_gone_takes_its_errors_along() -> None:
    telemetry = Telemetry()
    for version in ("3", "4"):
        telemetry.watch_version("fraud", version)
        telemetry.count_evaluation_error("fraud", version, "store")
    telemetry.watch_version("fraud", "4")  # goes on counting
    telemetry.forget_version("fraud", "3")
    telemetry.count_evaluation_error("fraud", "3", "evaluation")  # of an evaluation that had begun
    found = {line: value for line, value in lines(telemetry).items() if "evaluation_errors" in line}
    assert found == {
        f'mlflow_exporter_evaluation_errors_total{{model="fraud",model_version="4",stage="{stage}"}}': count
        for stage in ("reference", "evaluation", "store", "importance")
        for count in ("1.0" if stage == "store" else "0.0",)
    }


@pytest.mark.parametrize(
    ("seconds", "first_bucket"), [(0.0, "0.001"), (0.5, "0.5"), (0.51, "1.0"), (60, "+Inf")]
)
def test_a_duration_is_in_the_bucket_that_it_does_not_exceed(seconds: float, first_bucket: str) -> None:
    telemetry = Telemetry()
    telemetry.observe_evaluation(seconds)
    name = "mlflow_exporter_evaluation_duration_seconds"
    found = lines(telemetry)
    filled = [line for line in found if line.startswith(f"{name}_bucket") and found[line] == "1.0"]
    assert filled[0] == f'{name}_bucket{{le="{first_bucket}"}}'
    assert float(found[f"{name}_sum"]) == seconds
    assert found[f"{name}_count"] == "1.0"


def test_counts_from_many_threads_add_up() -> None:
    telemetry = Telemetry()

    def work(_: int) -> None:
        for _ in range(500):
            telemetry.count_rows("prediction", "duplicate", 2)
            telemetry.observe_ingest(0.01)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    found = lines(telemetry)
    assert found['mlflow_exporter_ingest_rows_total{kind="prediction",outcome="duplicate"}'] == "8000.0"
    assert found["mlflow_exporter_ingest_duration_seconds_count"] == "4000.0"


def test_labels_without_a_prediction_are_counted_by_model_while_one_of_its_versions_is_monitored() -> None:
    telemetry = Telemetry()
    name = 'mlflow_model_labels_unmatched_total{model="fraud"}'
    telemetry.count_unmatched_labels("fraud", 5)
    assert name not in lines(telemetry)
    for version in ("3", "4"):
        telemetry.watch_version("fraud", version)
    assert lines(telemetry)[name] == "0.0"
    telemetry.count_unmatched_labels("fraud", 2)
    telemetry.forget_version("fraud", "3")
    assert lines(telemetry)[name] == "2.0"
    telemetry.forget_version("fraud", "4")
    assert name not in lines(telemetry)


def test_series_of_creation_times_are_left_out() -> None:
    telemetry = Telemetry()
    telemetry.observe_ingest(0.1)
    assert not [line for line in lines(telemetry) if "_created" in line]
