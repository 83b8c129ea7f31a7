"""Metrics of remediation and of the audit trail.

    mlflow_exporter_remediations_total{action="rollback",outcome="recovered"} 1.0
    mlflow_exporter_remediation_pending{action="rollback",state="awaiting_approval"} 1.0

Counters are of this process and miss what happens right before a kill. The gauges are read from the store, so
they are the same after a restart and on every replica; alerts use these.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TypeVar, get_args

from prometheus_client import CollectorRegistry, Counter
from prometheus_client import Metric as ClientMetric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter.config.remediation import MODES, ActionKind
from exporter.exposition.metric import Metric
from exporter.storage.action_states import ENDED, PENDING, State

_Labels = TypeVar("_Labels", bound=tuple[str, ...])

STATUSES = ("firing", "resolved")
OTHER_SHARD = "other_shard"  # in place of the status, of alerts that are ignored
ACTIONS: tuple[str, ...] = get_args(ActionKind)
# An interrupted action has ended for the exporter, and waits for a person.
OUTCOMES = (*ENDED, State.INTERRUPTED)

ALERTS_RECEIVED = Metric(
    "mlflow_exporter_alerts_received_total",
    "counter",
    "Alerts received from Alertmanager, by status, or `other_shard` where they are ignored; repeated "
    "deliveries count each time.",
    ("status",),
)
REMEDIATIONS = Metric(
    "mlflow_exporter_remediations_total",
    "counter",
    "Actions of remediation that ended, by outcome.",
    ("action", "outcome"),
)
REFUSED = Metric(
    "mlflow_exporter_remediation_refused_total",
    "counter",
    "Actions of remediation that a guard refused, by guard.",
    ("guard",),
)
LAST_RECEIVED = Metric(
    "mlflow_exporter_alerts_last_received_timestamp_seconds",
    "gauge",
    "Time of the last delivery of alerts by Alertmanager, in seconds since the epoch.",
)
POLICIES = Metric(
    "mlflow_exporter_remediation_policies",
    "gauge",
    "Policies of remediation by effective mode: the more careful of the policy's own and the general one.",
    ("mode",),
)
MATCHING = Metric(
    "mlflow_exporter_remediation_matching_policies",
    "gauge",
    "Policies, without those that are off, that match an alert of the delivered rules; absent if none does.",
    ("alertname", "severity"),
)
PENDING_ACTIONS = Metric(
    "mlflow_exporter_remediation_pending",
    "gauge",
    "Actions of remediation that have not ended, by state, and interrupted ones.",
    ("action", "state"),
)
OLDEST_PENDING = Metric(
    "mlflow_exporter_remediation_oldest_pending_seconds",
    "gauge",
    "Time since the oldest pending action was planned, in seconds; absent if none is pending.",
)
STATE_TIME = Metric(
    "mlflow_exporter_remediation_state_timestamp_seconds",
    "gauge",
    "Time at which an action that is in a state came into it, of the past week, the newest of the model, "
    "in seconds since the epoch.",
    ("action", "model", "state"),
)
REFUSED_TIME = Metric(
    "mlflow_exporter_remediation_refused_timestamp_seconds",
    "gauge",
    "Time at which a guard refused an action, the newest of the model whose action is refused still, of the "
    "past week, in seconds since the epoch.",
    ("action", "guard", "model"),
)
BREAKER_OPEN = Metric(
    "mlflow_exporter_remediation_breaker_open",
    "gauge",
    "1 for a model whose actions are refused after repeated failures; absent for the others.",
    ("model",),
)
CHECKPOINT_INFO = Metric(
    "mlflow_exporter_audit_checkpoint_info",
    "gauge",
    "Always 1: number and digest of the audit record that the last checkpoint signs.",
    ("digest", "seq"),
)
CHECKPOINT_TIME = Metric(
    "mlflow_exporter_audit_checkpoint_timestamp_seconds",
    "gauge",
    "Time of the last checkpoint of the audit trail, in seconds since the epoch.",
)
REMEDIATION_CATALOG = (
    ALERTS_RECEIVED,
    REMEDIATIONS,
    REFUSED,
    LAST_RECEIVED,
    POLICIES,
    MATCHING,
    PENDING_ACTIONS,
    OLDEST_PENDING,
    STATE_TIME,
    REFUSED_TIME,
    BREAKER_OPEN,
    CHECKPOINT_INFO,
    CHECKPOINT_TIME,
)


@dataclass(frozen=True)
class LedgerView:
    """Actions and deliveries as the store has them. Times are in seconds since the epoch.

    Attributes:
        pending: number of pending actions by action and state; none where it is 0.
        oldest_pending: time at which the oldest pending action was planned.
        changed: time of the newest change by action, model and present state.
        last_received: time of the last delivery of alerts.
        refused: time of the newest refusal by action, guard and model.
    """

    pending: Mapping[tuple[str, str], int] = field(default_factory=dict)
    oldest_pending: float | None = None
    changed: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    last_received: float | None = None
    refused: Mapping[tuple[str, str, str], float] = field(default_factory=dict)


@dataclass(frozen=True)
class PolicyView:
    """A policy: its effective mode, and the alerts of the delivered rules, with severity, that it matches."""

    mode: str
    alerts: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class CheckpointView:
    """Last checkpoint of the audit trail: the record that it signs, and its time."""

    seq: int
    digest: str
    at: float


class RemediationTelemetry(Collector):
    """Metrics of remediation and audit. Methods may be called from any thread.

    The public attributes are replaced as a whole, each by its one owner. None is unknown and gives no series.
    """

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        self.policies: Sequence[PolicyView] | None = None
        self.ledger: LedgerView | None = None
        self.open_breakers: frozenset[str] = frozenset()
        self.checkpoint: CheckpointView | None = None

        self._clock = clock
        self._alerts = _counter(ALERTS_RECEIVED, registry, product(STATUSES))
        self._ended = _counter(REMEDIATIONS, registry, product(ACTIONS, OUTCOMES))
        self._refused = _counter(REFUSED, registry, ())
        registry.register(self)

    def watch_guards(self, guards: Iterable[str]) -> None:
        """Start the counters of refusals at 0."""
        for guard in guards:
            self._refused.labels(guard)

    def count_alert(self, status: str, count: int = 1) -> None:
        """Count received alerts, by a status of `STATUSES`, or as `OTHER_SHARD`."""
        self._alerts.labels(status).inc(count)

    def count_end(self, action: str, outcome: str) -> None:
        """Count an action that ended, by an outcome of `OUTCOMES`."""
        self._ended.labels(action, outcome).inc()

    def count_refused(self, guard: str) -> None:
        """Count an action that a guard refused."""
        self._refused.labels(guard).inc()

    def collect(self) -> Iterable[ClientMetric]:
        """Gauges that are known."""
        if self.policies is not None:
            modes = Tally(policy.mode for policy in self.policies)
            yield _gauge(POLICIES, {(mode,): modes[mode] for mode in MODES})
            matched = (policy.alerts for policy in self.policies if policy.mode != "off")
            yield _gauge(MATCHING, Tally(alert for alerts in matched for alert in alerts))
        if (ledger := self.ledger) is not None:
            yield _gauge(
                PENDING_ACTIONS, {key: ledger.pending.get(key, 0) for key in product(ACTIONS, PENDING)}
            )
            yield _gauge(STATE_TIME, ledger.changed)
            yield _gauge(REFUSED_TIME, ledger.refused)
            if ledger.oldest_pending is not None:
                yield _gauge(OLDEST_PENDING, {(): max(self._clock() - ledger.oldest_pending, 0.0)})
            if ledger.last_received is not None:
                yield _gauge(LAST_RECEIVED, {(): ledger.last_received})
        yield _gauge(BREAKER_OPEN, {(model,): 1 for model in sorted(self.open_breakers)})
        if (checkpoint := self.checkpoint) is not None:
            yield _gauge(CHECKPOINT_INFO, {(checkpoint.digest, str(checkpoint.seq)): 1})
            yield _gauge(CHECKPOINT_TIME, {(): checkpoint.at})


def _counter(metric: Metric, registry: CollectorRegistry, labels: Iterable[tuple[str, ...]]) -> Counter:
    """A counter with these series, from 0."""
    counter = Counter(metric.name, metric.help, metric.labels, registry=registry)
    for each in labels:
        counter.labels(*each)
    return counter


def _gauge(metric: Metric, values: Mapping[_Labels, float]) -> ClientMetric:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
