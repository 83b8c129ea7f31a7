"""One real Kafka broker for a session, in KRaft mode: each test gets a topic.

A test that uses it is marked `@pytest.mark.needs("kafka")`. One that kills its broker starts its own.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.programs import get_program
from tests.support.rig import eventually

if TYPE_CHECKING:  # imported where it is needed: few sessions do
    from confluent_kafka.admin import AdminClient

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={directory}/data
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=1
num.io.threads=2
log.cleaner.enable=false
# Times of tests are long ago.
log.retention.ms=-1
"""
# Of a formatted directory; the rest the broker makes.
_META = "version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\nnode.id=1\ndirectory.id=BAAAAAAAAAAAAAAAAAAAAA\n"


class KafkaBroker:
    """A broker, whose messages survive `kill` and `start`; `address` is for `EXPORTER_KAFKA_BROKERS`."""

    def __init__(self, directory: Path, ports: list[int]) -> None:
        port, controller = ports
        self.address = f"127.0.0.1:{port}"
        self._program = get_program("kafka")
        self._log = directory / "log"
        self._properties = directory / "server.properties"
        self._properties.write_text(_PROPERTIES.format(port=port, controller=controller, directory=directory))
        data = directory / "data"
        data.mkdir()
        (data / "meta.properties").write_text(_META)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, str(self._properties)], stdout=log, stderr=subprocess.STDOUT
            )
        eventually(self._answers)

    def _answers(self) -> bool:
        from confluent_kafka import KafkaException

        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            return bool(self._admin().list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def _admin(self) -> AdminClient:
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def kill(self) -> None:
        """Kill it, as the kernel does when memory runs out."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(TIMEOUT_SECONDS)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Context in which it does not answer, and its connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def create_topic(self, name: str, partitions: int) -> None:
        from confluent_kafka.admin import NewTopic

        admin = self._admin()  # which ends what it does when it goes
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(TIMEOUT_SECONDS)

    def add_partitions(self, name: str, partitions: int) -> None:
        """Grow a topic to that many partitions."""
        from confluent_kafka.admin import NewPartitions

        admin = self._admin()
        admin.create_partitions([NewPartitions(name, partitions)])[name].result(TIMEOUT_SECONDS)


@contextmanager
def running_broker(ports: list[int]) -> Iterator[KafkaBroker]:
    """Broker that runs until the block ends; `ports` are two free ones."""
    with tempfile.TemporaryDirectory(prefix="kafka-") as directory:
        broker = KafkaBroker(Path(directory), ports)
        try:
            broker.start()
            yield broker
        finally:
            broker.kill()


@pytest.fixture(scope="session")
def kafka_broker(free_ports: Callable[[int], list[int]]) -> Iterator[KafkaBroker]:
    """For tests that need("kafka"), and leave it running."""
    with running_broker(free_ports(2)) as broker:
        yield broker


_topics = count()


@pytest.fixture
def kafka_topic(kafka_broker: KafkaBroker) -> str:
    """A new topic with four partitions, and with one partition its topic of dead letters."""
    name = f"test-{next(_topics)}"
    kafka_broker.create_topic(name, 4)
    kafka_broker.create_topic(f"{name}.dead-letter", 1)
    return name
