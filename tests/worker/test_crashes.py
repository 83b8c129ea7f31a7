"""Worker processes that are killed and frozen."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.support.exporter_process import ExporterProcess
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.group import Group, assert_equal, make_events
from tests.support.rig import eventually, make_rows

pytestmark = pytest.mark.needs("kafka", "initdb", "pg_ctl")

CONSUMING = 'mlflow_exporter_kafka_assigned_partitions{state="consuming"}'


def members(group: Group) -> int:
    """Members of the consumer group, as the broker sees them."""
    admin = AdminClient({"bootstrap.servers": group.broker.address})  # which ends what it does when it goes
    return len(admin.describe_consumer_groups([group.topic])[group.topic].result(TIMEOUT_SECONDS).members)


def test_workers_that_are_killed_and_frozen_count_each_message_once(
    group: Group, tmp_path: Path, free_ports: Callable[[int], list[int]]
) -> None:
    now = time.time()
    events = make_events(make_rows(400, prefix="r"), at=now)
    parts = [events[place::5] for place in range(5)]
    ports = iter(free_ports(3))

    def start(module: str = "exporter") -> ExporterProcess:
        return ExporterProcess(
            group.uri,
            next(ports),
            tmp_path,
            module=module,
            role="worker",
            kafka_brokers=group.broker.address,
            kafka_topic=group.topic,
            kafka_group=group.topic,
        )

    killed = start("tests.support.serve_killed")
    processes = [killed]
    try:
        group.send(parts[0])
        group.send(parts[1])
        killed.process.wait(TIMEOUT_SECONDS)  # between a commit and the next messages
        assert killed.process.returncode == -signal.SIGKILL
        assert 0 < sum(group.offsets().values()) < sum(group.ends().values())
        first, second = start(), start()
        processes += [first, second]
        first.await_ready()
        second.await_ready()
        eventually(lambda: first.sample(CONSUMING) == second.sample(CONSUMING) == 2)
        group.send(parts[2])
        second.process.send_signal(signal.SIGSTOP)
        group.send(parts[3])
        eventually(lambda: first.sample(CONSUMING) == 4)  # once the session of the frozen one has ended
        group.await_commits()
        second.process.send_signal(signal.SIGCONT)
        # It has lost its partitions: it asks for others, or ends because it was about to commit.
        eventually(lambda: second.process.poll() is not None or first.sample(CONSUMING) == 2)
        group.send(parts[4])
        group.await_commits()
        if second.process.poll() is None:
            assert members(group) == 2
            second.terminate()
            assert second.process.returncode in (0, -signal.SIGTERM)  # uvicorn raises it again
        assert members(group) == 1  # it has left, or the broker would wait for its session to end
        assert "Traceback" not in first.log
    finally:
        for each in processes:
            each.kill()

    assert_equal(group.counts(), group.one_process([e for part in parts for e in part], time.time))
