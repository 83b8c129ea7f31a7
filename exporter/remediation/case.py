"""Everything that a decision about an action rests on, composed once for each check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from exporter.config.remediation import Mode, Policy, RemediationConfig
from exporter.errors import RegistryUnreachableError
from exporter.fleet import Fleet
from exporter.registry.registry import Registry
from exporter.remediation.action import Action
from exporter.remediation.evidence import Watched, watch
from exporter.remediation.holds import Hold, Holds
from exporter.remediation.ledger import Ledger
from exporter.remediation.tenure import Tenure, current_tenure
from exporter.remediation.verdict_history import bad_verdicts
from exporter.settings import DAY_SECONDS, Settings
from exporter.storage.schema import AliasMove
from exporter.storage.store import Store

_T = TypeVar("_T")


class Sources:
    """Answers of MLflow and of the store, each asked for at most once, when a guard needs it.

    Methods raise `RegistryError` if MLflow does not answer, and `StoreError`.
    """

    def __init__(self, registry: Registry, store: Store, ledger: Ledger, holds: Holds) -> None:
        self._registry = registry
        self._store = store
        self._ledger = ledger
        self._holds = holds
        self._known: dict[tuple[str, ...], Any] = {}
        self._unreachable: RegistryUnreachableError | None = None

    def alias_version(self, model: str, alias: str) -> str:
        """Version that an alias points to in MLflow now, empty if none.

        Raises:
            MissingError: there is no such model, or the alias dangles.
        """
        return self._ask(("alias", model, alias), lambda: self._registry.alias_version(model, alias))

    def model_tags(self, model: str) -> Mapping[str, str]:
        """Tags of a registered model in MLflow now.

        Raises:
            MissingError: there is no such model.
        """
        return self._ask(("model_tags", model), lambda: self._registry.model_tags(model))

    def version_tags(self, model: str, version: str) -> Mapping[str, str]:
        """Tags of a version in MLflow now.

        Raises:
            MissingError: there is no such version.
        """
        ask = partial(self._registry.version_tags, model, version)
        return self._ask(("version_tags", model, version), ask)

    def why_not_loaded(self, model: str, version: str) -> str:
        """Reason why the model's files cannot be read, empty if they can."""
        return self._ask(("loads", model, version), lambda: self._registry.model_loads(model, version))

    def bad_verdicts(self, model: str, version: str, until: float) -> tuple[str, ...]:
        """Verdicts of a version that were bad at a time, by its audit records."""

        def read() -> tuple[str, ...]:
            with self._store.reading() as connection:
                return bad_verdicts(connection, model, version, until)

        return self._once(("verdicts", model, version, repr(until)), read)

    def actions(self, model: str) -> Sequence[Action]:
        """All stored actions of a model, the last changed first."""
        return self._once(("actions", model), lambda: self._ledger.recent(0, model))

    def actions_of_day(self, now: float) -> Sequence[Action]:
        """Actions of all models that changed within a day."""
        return self._once(("of_day",), lambda: self._ledger.recent(now - DAY_SECONDS))

    def holds(self, model: str, alias: str, policy: str) -> Sequence[Hold]:
        """Holds in force on an action."""
        return self._once(("holds", model, alias, policy), lambda: self._holds.active(model, alias, policy))

    def _ask(self, key: tuple[str, ...], ask: Callable[[], _T]) -> _T:
        """Answer of MLflow; once it could not be reached, it is not asked again."""
        if self._unreachable is not None and key not in self._known:
            raise self._unreachable
        try:
            return self._once(key, ask)
        except RegistryUnreachableError as error:
            self._unreachable = error
            raise

    def _once(self, key: tuple[str, ...], ask: Callable[[], _T]) -> _T:
        if key not in self._known:
            self._known[key] = ask()
        found: _T = self._known[key]
        return found


@dataclass(frozen=True)
class Case:
    """An action, and what the guards decide on. Times are in seconds since the epoch.

    Attributes:
        action: to be judged.
        policy: its policy in the configuration now in force, None if there is none of that name.
        config: of remediation, now in force.
        now: time of the check.
        sources: for what has to be asked of MLflow and of the store.
        evaluation_interval: seconds between evaluations.
        versions: monitored versions of the model, by version.
        known: versions that MLflow lists for the model; None if it does not list the model, or has not
            answered since the start.
        moves: history of the alias.
    """

    action: Action
    policy: Policy | None
    config: RemediationConfig
    now: float
    sources: Sources
    evaluation_interval: float
    versions: Mapping[str, Watched] = field(default_factory=dict)
    known: frozenset[str] | None = None
    moves: Sequence[AliasMove] = ()

    @property
    def mode(self) -> Mode:
        """Effective mode of the policy, now."""
        return self.config.effective_mode(self.policy) if self.policy is not None else "off"

    @property
    def tenure(self) -> Tenure | None:
        """Current tenure of the alias as it was last seen, None if it points to no version."""
        return current_tenure(self.moves)

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the alert."""
        return self.action.labels

    @property
    def watched(self) -> Watched | None:
        """The version that the alert is about, None if it is not monitored."""
        return self.versions.get(self.action.model_version)

    @property
    def target(self) -> Watched | None:
        """The version that the alias is to point to, None if it is not monitored."""
        return self.versions.get(self.action.target_version)

    @property
    def others(self) -> Sequence[Action]:
        """Other actions of the model, the last changed first."""
        return [each for each in self.sources.actions(self.action.model) if each.id != self.action.id]


class Cases:
    """Composes cases from the live state and the store. Methods may be called from any thread."""

    def __init__(
        self,
        settings: Settings,
        fleet: Fleet,
        registry: Registry,
        store: Store,
        ledger: Ledger,
        holds: Holds,
        config: Callable[[], RemediationConfig],
    ) -> None:
        self._interval = settings.evaluation_interval_seconds
        self._fleet = fleet
        self._registry = registry
        self._store = store
        self._ledger = ledger
        self._holds = holds
        self._config = config

    def sources(self) -> Sources:
        """Return sources that have been asked nothing yet, to be shared by the cases of one question."""
        return Sources(self._registry, self._store, self._ledger, self._holds)

    def of(self, action: Action, now: float, sources: Sources | None = None) -> Case:
        """Return the case of an action as things are now.

        Args:
            action: to be judged.
            now: seconds since the epoch.
            sources: shared with other cases; by default new ones.
        """
        config, fleet = self._config(), self._fleet
        known = fleet.known
        return Case(
            action=action,
            policy=config.find(action.policy),
            config=config,
            now=now,
            sources=sources if sources is not None else self.sources(),
            evaluation_interval=self._interval,
            versions={
                version.version: watch(version)
                for version in fleet.versions.values()
                if version.model == action.model
            },
            known=known.get(action.model) if known is not None else None,
            moves=fleet.history(action.model, action.alias),
        )
