"""A real Prometheus remembers checkpoints that whoever has the store and its key cannot change."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporter.audit.anchors import Anchor, prometheus_anchors
from exporter.audit.checkpoint import Checkpoint, make_checkpoint
from exporter.audit.read_only import reading
from exporter.audit.trail import digest_before
from exporter.audit.verification import verify_store
from exporter.exposition.remediation import CheckpointView, RemediationTelemetry
from exporter.storage.store import Store
from tests.prometheus.servers import Target, running_prometheus, serving_target, wait_for
from tests.support.trail import KEY, append_entries, rebuild, resign

CONFIG = """
global: {scrape_interval: 200ms}
scrape_configs:
  - job_name: mlflow-exporter
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
"""


def go_on(store: Store, target: Target) -> Checkpoint:
    """Append records, and show the checkpoint that signs them."""
    with store.writing() as connection:
        append_entries(connection, 5)
        made = make_checkpoint(connection, KEY, 2000.0)
    registry = CollectorRegistry()
    telemetry = RemediationTelemetry(registry, time.time)
    telemetry.checkpoint = CheckpointView(made.seq, made.digest.hex(), made.at)
    target.exposition = generate_latest(registry).decode()
    return made


@pytest.mark.parametrize("program", ["installed"], indirect=True)
@pytest.mark.needs("prometheus")
def test_a_chain_that_was_rebuilt_with_the_stolen_key_is_found(
    program: Callable[[str], str], free_ports: Callable[[int], list[int]], tmp_path: Path
) -> None:
    web, scraped = free_ports(2)
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.replace("PORT", str(scraped)))
    uri = f"sqlite:///{tmp_path}/exporter.db"
    store = Store(uri)
    with (
        serving_target(scraped) as target,
        running_prometheus(program("prometheus"), config, web) as url,
    ):

        def remembered(count: int) -> list[Anchor]:
            found = prometheus_anchors(url, time.time(), '{job="mlflow-exporter"}')
            return found if len(found) == count else []

        made = []
        for count in (1, 2):
            made.append(go_on(store, target))
            anchors = wait_for(f"{count} checkpoints", lambda count=count: remembered(count))
        assert [(each.seq, each.digest) for each in anchors] == [(each.seq, each.digest) for each in made]
        assert anchors[0].source == f"Prometheus (127.0.0.1:{scraped})"
        with store.writing() as connection:
            rebuild(connection, 8, {"actor": "ada"}, digest_before(connection, 8) or b"")
            resign(connection, KEY, [each.seq for each in made])
    store.close()
    with reading(uri) as connection:
        assert verify_store(connection, vkeys=[KEY.vkey]).intact, "the thief had the key"
        found = verify_store(connection, anchors, [KEY.vkey])
    assert (found.faults[0].seq, found.faults[0].last_seq) == (7, 11)
    assert found.chain.anchored == ((1, 6),)
