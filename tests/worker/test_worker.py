"""Workers in threads, with a real broker and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer
from sqlalchemy.exc import DataError

import exporter.worker.partition
import exporter.worker.worker
from exporter.aggregates.outcome_layout import outcome_layout
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import GroupCommit
from exporter.kafka.partitioner import row_key
from tests.support.group import Group, assert_equal, label, make_events, prediction
from tests.support.kafka import KafkaBroker, running_broker
from tests.support.postgres import PostgresServer
from tests.support.rig import NOON, eventually, make_document, make_rows

pytestmark = pytest.mark.needs("kafka", "initdb", "pg_ctl")

ROWS = make_rows(300, prefix="r")


def test_workers_that_come_and_go_count_as_one_process_does(group: Group) -> None:
    events = make_events(ROWS)
    parts = [events[place::4] for place in range(4)]

    with group.running() as first:
        group.send(parts[0])
        group.await_commits()
        with group.running() as second:
            group.send(parts[1])
            eventually(lambda: (first.group.consuming, second.group.consuming) == (2, 2))
            group.send(parts[2])
            group.await_commits()
            eventually(lambda: not first.unready() and not second.unready())
            eventually(lambda: sorted([*first.group.lags, *second.group.lags]) == [0, 1, 2, 3])
            eventually(
                lambda: not any(lag.messages for each in (first, second) for lag in each.group.lags.values())
            )
        eventually(lambda: first.group.consuming == 4)
        group.send(parts[3])
        group.await_commits()

    assert_equal(group.counts(), group.one_process([event for part in parts for event in part]))


def test_what_cannot_be_taken_is_a_dead_letter_with_its_reason(group: Group) -> None:
    body = prediction(ROWS[0]).body
    kind = ("kind", b"predictions")
    json = ("content-type", b"application/json")
    key = row_key("fraud", "r0")
    cases: list[tuple[str, bytes | None, bytes, list[tuple[str, str | bytes | None]]]] = [
        ("undecodable", b"{", key, [kind, json]),
        ("undecodable", None, key, [kind, json]),
        ("undecodable", body, row_key("fraud", "r9"), [kind, json]),  # of another partition
        ("unsupported", body, key, [("kind", b"greetings"), json]),
        ("unsupported", body, key, [kind, ("content-type", b"text/csv")]),
        ("too_large", body + b" " * 10_000, key, [kind, json]),
        ("unknown", body.replace(b"fraud", b"fruit"), row_key("fruit", "r0"), [kind, json]),
        ("unknown", body.replace(b'"version":"1"', b'"alias":"former"'), key, [kind, json]),
    ]
    for _, value, case_key, headers in cases:
        group.send_raw(value, case_key, headers)
    group.send([label("r1", 1, model="fruit")])
    group.send([prediction(ROWS[2], key="once"), prediction({**ROWS[2], "score": 0.5}, key="once")])
    good = [prediction(row) for row in ROWS[3:10]]
    group.send(good)

    with group.running(max_body_bytes=10_000) as worker:
        group.await_commits()
        letters = group.dead_letters(len(cases) + 2)
        eventually(lambda: not worker.unready())

    reasons = sorted(letter["dead-letter-reason"] for letter in letters)
    assert reasons == sorted([*(case[0] for case in cases), "unknown", "refused"])
    of_fruit = next(letter for letter in letters if "fruit" in letter["value"])
    assert "model 'fruit' is not monitored" in of_fruit["dead-letter-detail"]
    assert {"dead-letter-topic", "dead-letter-partition", "dead-letter-offset", "kind"} <= of_fruit.keys()
    assert group.counts().rows == len(good) + 1
    page = {
        tuple(sample.labels.values()): sample.value
        for metric, family in worker.telemetry.families()
        for sample in family.samples
        if metric.name == "mlflow_exporter_kafka_dead_letters_total"
    }
    assert page["undecodable",] == 3
    assert page["unknown",] == 3


@pytest.mark.parametrize(
    ("fault", "reason"), [(DataError("", {}, Exception("no")), "refused"), (KeyError(), "internal")]
)
def test_a_message_whose_commit_fails_for_its_content_stops_no_other(
    group: Group, monkeypatch: pytest.MonkeyPatch, fault: Exception, reason: str
) -> None:
    commit = GroupCommit.commit

    def fail(self: GroupCommit, requests: list[PredictionRequest], **options: Any) -> object:
        if any(each.decoded.ids == ["r7"] for each in requests):
            raise fault
        return commit(self, requests, **options)

    monkeypatch.setattr(GroupCommit, "commit", fail)
    group.send([prediction(row) for row in ROWS[:20]])

    with group.running():
        group.await_commits()
        [letter] = group.dead_letters(1)

    assert letter["dead-letter-reason"] == reason
    assert '"r7"' in letter["value"]
    assert group.counts().rows == 19


def test_rows_of_a_version_that_is_not_monitored_yet_wait_for_it(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter.worker.partition, "DISCOVERY_SECONDS", 600.0)
    group.send([prediction(ROWS[0], version="2"), prediction(ROWS[0])])

    with group.running() as worker:
        wanted = "SELECT model, version FROM wanted_versions"
        eventually(lambda: [tuple(row) for row in group.query(wanted)] == [("fraud", "2")])
        eventually(lambda: worker.group.waiting == 1)
        assert not worker.unready()
        assert max(lag.messages for lag in worker.group.lags.values()) == 2
        group.monitor("2", group.reference)
        group.await_commits()

    assert group.counts().rows == 2


def test_a_version_that_never_comes_is_waited_for_once(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter.worker.partition, "DISCOVERY_SECONDS", 0.5)
    group.send([prediction(ROWS[0], version=str(number)) for number in range(100, 120)])
    group.send([prediction(ROWS[0])])

    with group.running():
        group.await_commits()  # twenty times the wait would take long
        letters = group.dead_letters(20)

    assert {letter["dead-letter-reason"] for letter in letters} == {"unavailable"}
    assert group.counts().rows == 1


def test_everything_waits_for_the_evaluators_first_version(group: Group) -> None:
    with group.shared() as store, store.writing() as connection:
        connection.exec_driver_sql("UPDATE versions SET config_digest = ''")
    group.send([prediction(ROWS[0]), label("r0", 1)])

    with group.running() as worker:
        eventually(lambda: worker.group.waiting == 1)
        group.monitor("1")
        group.await_commits()

    assert group.counts().rows == 1


def test_a_reference_that_comes_late_counts_the_rows_that_waited(group: Group) -> None:
    rows = [{**row, "timestamp": NOON - 60} for row in ROWS[:40]]
    key = group.monitor("2")
    states = "SELECT reference_id, waiting_rows FROM {}.version_states WHERE version_id = {}"

    def acknowledged() -> list[tuple[int | None, int]]:
        found = [group.query(states.format(name, key)) for name in group.partitions()]
        return [tuple(row) for rows in found for row in rows]

    with group.running():
        group.send([prediction(row, version="2") for row in rows])
        group.await_commits()
        assert sum(waiting for _, waiting in acknowledged()) == 40
        assert group.counts().rows == 0
        group.monitor("2", group.reference)
        eventually(lambda: len({reference for reference, _ in acknowledged()}) == 1)
        eventually(lambda: group.counts().rows == 40)
        assert len(acknowledged()) == 4
        assert sum(waiting for _, waiting in acknowledged()) == 0
        # and another one in its place
        group.monitor("2", group.reference)
        [before] = {reference for reference, _ in acknowledged()}
        eventually(lambda: {reference for reference, _ in acknowledged()} == {before + 1})


def test_a_version_that_is_not_monitored_any_more_is_let_go(group: Group) -> None:
    with group.running() as worker:
        group.send([prediction(ROWS[0])])
        group.await_commits()
        with group.shared() as store, store.writing() as connection:
            connection.exec_driver_sql("UPDATE versions SET config_digest = ''")
        group.monitor("2", group.reference)
        eventually(lambda: worker.monitors("fraud", "2"))
        group.send([prediction(ROWS[1])])
        [letter] = group.dead_letters(1)

    assert letter["dead-letter-reason"] == "unavailable"
    assert group.counts().rows == 1


def test_another_maturation_counts_the_outcomes_anew(group: Group) -> None:
    group.send([prediction({**row, "timestamp": NOON - 7200}) for row in ROWS[:30]])
    group.send([label(f"r{number}", 1) for number in range(30)])

    def labelled() -> int:
        layout = outcome_layout(group.reference)
        assert layout is not None
        outcomes = group.counts().outcomes.values()
        return sum(int(found.counts[: layout.traffic_start].sum()) for found in outcomes)

    with group.running():
        group.await_commits()
        eventually(labelled)
        with group.shared() as store, store.writing() as connection:
            tags = '{"monitoring.maturation": "1h"}'
            connection.exec_driver_sql(f"UPDATE versions SET tags = '{tags}'")
        eventually(lambda: not labelled())


def test_while_postgresql_is_away_it_waits_and_goes_on_where_it_was(
    group: Group, postgres_server: PostgresServer
) -> None:
    events = make_events(ROWS)
    with group.running() as worker:
        group.send(events[::2])
        group.await_commits()
        postgres_server.stop()
        try:
            group.send(events[1::2])
            eventually(worker.unready)
            assert not worker.fault()
        finally:
            postgres_server.start()
        group.await_commits()
        eventually(lambda: not worker.unready())

    assert_equal(group.counts(), group.one_process([*events[::2], *events[1::2]]))


def test_a_broker_that_is_killed_and_comes_back_loses_nothing(
    postgres_uri: str, free_ports: Callable[[int], list[int]], tmp_path: object
) -> None:
    events = make_events(ROWS)
    with running_broker(free_ports(2)) as broker:
        broker.create_topic("events", 4)
        broker.create_topic("events.dead-letter", 1)
        group = Group(postgres_uri, broker, "events", tmp_path)  # type: ignore[arg-type]
        group.monitor("1", group.reference)
        with group.running() as worker:
            group.send(events[::2])
            group.await_commits()
            broker.kill()
            broker.start()
            group.send(events[1::2])
            group.await_commits()
            assert not worker.fault()

    assert_equal(group.counts(), group.one_process([*events[::2], *events[1::2]]))


def test_it_waits_for_brokers_that_do_not_answer(group: Group, free_port: int) -> None:
    with group.running(kafka_brokers=(f"127.0.0.1:{free_port}",)) as worker:
        eventually(lambda: "the brokers do not answer" in worker.unready())
        assert not worker.fault()


@pytest.mark.parametrize("missing", ["nothing-there", "lonely"])
def test_a_topic_that_is_missing_ends_it(group: Group, missing: str) -> None:
    if missing == "lonely":
        group.broker.create_topic("lonely", 4)
        missing = "lonely.dead-letter"
    with group.running(kafka_topic=missing.removesuffix(".dead-letter")) as worker:
        worker.was_lost.wait()
        assert f"the brokers have no topic '{missing}'" in worker.failed


def test_a_topic_with_another_number_of_partitions_than_the_stores_ends_it(
    group: Group, kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter.worker.worker, "ASK_SECONDS", 0.1)
    with group.running() as worker:
        group.send([prediction(ROWS[0])])
        group.await_commits()
        kafka_broker.add_partitions(group.topic, 5)
        worker.was_lost.wait()
        assert "has 5 partitions, and had 4" in worker.failed
    with group.running() as worker:
        worker.was_lost.wait()
        assert "has 5 partitions, the database is of" in worker.failed


def test_messages_that_the_brokers_deleted_before_they_were_read_are_counted(group: Group) -> None:
    with group.running() as worker:
        group.send([prediction(ROWS[0])])
        group.await_commits()
    group.send([prediction({**ROWS[0], "score": score / 10}) for score in range(5)])
    [(partition, offset)] = group.offsets().items()
    group.delete_before(partition, offset + 3)
    with group.running() as worker:
        group.await_commits()

    [expired] = [
        sample.value
        for metric, family in worker.telemetry.families()
        for sample in family.samples
        if sample.labels.get("outcome") == "expired" and metric.name.startswith("mlflow_exporter_kafka")
    ]
    assert expired == 3


def test_the_ends_of_transactions_are_no_lag(group: Group) -> None:
    producer = Producer(
        {"bootstrap.servers": group.broker.address, "transactional.id": group.topic, "partitioner": "murmur2"}
    )
    producer.init_transactions(60)
    for end in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        for row in ROWS[:20]:
            event = prediction(row)
            headers = [("kind", b"predictions"), ("content-type", b"application/json")]
            producer.produce(group.topic, event.body, row_key("fraud", event.row_id), headers=headers)
        producer.flush()
        end()

    with group.running() as worker:
        eventually(lambda: group.counts().rows == 20)
        eventually(lambda: len(worker.group.lags) == 4)
        eventually(lambda: not any(lag.messages for lag in worker.group.lags.values()))


def test_a_topic_that_was_made_anew_is_not_read_from_anywhere(group: Group) -> None:
    group.send([prediction(ROWS[0]), prediction(ROWS[0])])
    with group.running():
        group.await_commits()
    [partition] = group.offsets()
    with group.shared() as store, store.writing() as connection:
        connection.exec_driver_sql(
            f"UPDATE partition_{partition}.meta SET value = '100' WHERE key = 'next_offset'"
        )

    with group.running() as worker:
        eventually(lambda: "ends at offset 2, its store goes on at 100" in worker.unready())
        assert not worker.fault()


def test_a_full_database_stops_it_until_there_is_room(group: Group) -> None:
    group.send([prediction(ROWS[0])])
    with group.running(store_limit_bytes=1) as worker:
        eventually(lambda: "bytes of 1" in worker.unready())


def test_requests_over_http_are_counted_once_they_came_back_from_the_topic(group: Group) -> None:
    with group.serving(ingest="kafka") as client:
        eventually(lambda: client.get("/-/ready").text == "ready\n")
        document = make_document(ROWS[:20])
        eventually(lambda: client.post("/v1/predictions", json=document).status_code == 202)
        answer = client.post("/v1/labels", json={"model": "fruit", "labels": [{"id": "r1", "label": 1}]})
        assert answer.status_code == 404
        group.await_commits()
        assert client.get("/-/healthy").status_code == 200
        page = client.get("/metrics").text

    assert 'mlflow_exporter_ingest_requests_total{kind="prediction",status="202"} 1.0' in page
    assert "mlflow_exporter_kafka_partitions 4.0" in page
    assert group.counts().rows == 20


def test_a_worker_that_does_not_produce_says_so(group: Group) -> None:
    with group.serving() as client:
        eventually(lambda: client.get("/-/ready").text == "ready\n")
        eventually(lambda: client.post("/v1/predictions", json=make_document(ROWS[:1])).status_code == 421)
