"""Post alerts to the real service, durable on SQLite: one a delivery, then ten thousand in one.

python tests/benchmarks/bench_alerts.py [deliveries]

A hundred policies look at each alert, and every tenth matches. The first delivery plans ten actions.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import orjson
from bench_ingest import make_store, running

DELIVERIES, ALERTS = 300, 10_000
LABELS = {"alertname": "ModelQualityDegraded", "severity": "critical", "model": "bench", "model_version": "1"}


def make_config(path: Path) -> Path:
    policies = [
        {
            "name": f"p{number}",
            "match": {"alertname": "Model(Quality|Error).*" if number % 10 == 0 else f"Other{number}.*"},
            "model": "ben.*",
            "action": "freeze",
        }
        for number in range(100)
    ]
    path.write_text(json.dumps({"remediation": {"policies": policies}}))
    return path


def make_body(alerts: int) -> bytes:
    found = [
        {
            "status": "firing",
            "labels": {**LABELS, "column": f"feature_{number}", "instance": f"exporter-{number}:19464"},
            "annotations": {"summary": "recall is 0.62", "description": "x" * 500},
            "startsAt": "2026-02-16T11:52:26.739266876Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": "1a30ba71cca2921f",
        }
        for number in range(alerts)
    ]
    return orjson.dumps({"version": "4", "receiver": "remediation", "groupKey": "{}", "alerts": found})


def main(deliveries: int) -> None:
    one, many = make_body(1), make_body(ALERTS)
    with tempfile.TemporaryDirectory() as directory:
        store = f"sqlite:///{directory}/exporter.db"
        make_store(store)
        with running(store, str(make_config(Path(directory) / "exporter.yml"))) as service:
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)

            def post(body: bytes) -> float:
                started = time.perf_counter()
                connection.request("POST", "/v1/alerts", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                said = answer.read()
                assert answer.status == 202, said
                assert len(json.loads(said)["actions"]) == 10, said
                return time.perf_counter() - started

            first = post(one)
            seconds = sorted(post(one) for _ in range(deliveries))
            large = [post(many) for _ in range(3)]
            connection.close()
    print("store an alert, and plan what follows   (below 50 ms)")
    print(f"  first delivery, ten actions       {1e3 * first:.1f} ms")
    print(f"  repeated deliveries of one alert  median {1e3 * median(seconds):.1f} ms, ", end="")
    print(f"99 % {1e3 * seconds[int(0.99 * len(seconds))]:.1f} ms")
    print(f"  {ALERTS:,} alerts, {len(many) / 2**20:.1f} MB        median {median(large):.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DELIVERIES)
