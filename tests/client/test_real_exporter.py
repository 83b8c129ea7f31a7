"""A monitor and the real exporter, which comes later than the first predictions."""

from __future__ import annotations

from pathlib import Path

from exporter.client import Monitor
from tests.support.exporter_process import ExporterProcess, make_store
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.ports import claim_ports
from tests.support.rig import make_rows

PREDICTIONS = 'mlflow_model_predictions_total{model="fraud",model_version="1"}'
LABELS = 'mlflow_exporter_ingest_rows_total{kind="label",outcome="accepted"}'


def test_predictions_wait_for_the_exporter_and_count_once(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/exporter.db"
    make_store(store)
    rows = make_rows(300)
    ids = [f"request-{number}" for number in range(150)]
    with claim_ports(1) as [port]:
        url = f"http://127.0.0.1:{port}"
        with Monitor(url, model="fraud", alias="champion", batch_rows=40) as monitor:
            for row, row_id in zip(rows, ids, strict=False):
                monitor.predictions(row["features"], row["prediction"], score=row["score"], id=row_id)
            assert not monitor.flush(0.1)
            exporter = ExporterProcess(store, port, tmp_path)
            try:
                exporter.await_ready()
                monitor.predictions(
                    [row["features"] for row in rows[150:]], [row["prediction"] for row in rows[150:]]
                )
                monitor.predictions({"age": 40.0}, 1, id="x" * 1000)  # is refused, without the others
                monitor.labels(ids, [0] * 150)
                assert monitor.flush(TIMEOUT_SECONDS), monitor.dropped
                assert (monitor.sent, monitor.dropped) == ({"prediction": 300, "label": 150}, {"refused": 1})
                assert (exporter.sample(PREDICTIONS), exporter.sample(LABELS)) == (300, 150)
            finally:
                exporter.terminate()
