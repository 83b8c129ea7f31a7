"""Decorator of functions that predict."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Protocol

from exporter.client.counts import describe
from exporter.client.in_flight import InFlight
from exporter.client.snapshot import Features, copy_features
from exporter.errors import ConfigError


class Watches(Protocol):
    """What the decorator needs of a monitor."""

    @property
    def feature_names(self) -> Sequence[str]: ...
    @property
    def in_flight(self) -> InFlight: ...
    def copied(
        self,
        features: Features,
        prediction: Any,
        score: Any,
        id: Any,  # noqa: A002 - the field's name everywhere else
        *,
        latency_seconds: float,
    ) -> None: ...
    def drop(self, reason: str, rows: int, detail: str = "") -> None: ...


class _Argument:
    """An argument of a function, found without binding all of them, which takes longer than all the rest."""

    def __init__(self, parameters: Sequence[inspect.Parameter], name: str) -> None:
        places = [place for place, each in enumerate(parameters) if each.name == name]
        if not places:
            raise ConfigError(f"the function has no argument `{name}`")
        self._name = name
        self._place = places[0]
        default = parameters[self._place].default
        self._default = None if default is inspect.Parameter.empty else default

    def of(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if self._name in named:
            return named[self._name]
        return arguments[self._place] if self._place < len(arguments) else self._default


class _Call:
    """One call: features are copied before, since a function may change them; then the result is sent."""

    def __init__(self, watch: _Watch, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._watch = watch
        self._features: Features | None = None
        self._id: Any = None
        monitor = watch.monitor
        try:
            self._features = copy_features(watch.features.of(arguments, named), monitor.feature_names)
            self._id = watch.id.of(arguments, named) if watch.id is not None else None
        except Exception as error:  # noqa: BLE001 - nothing may reach the service
            monitor.drop("invalid", 1, describe(error))
        self._started = time.perf_counter()

    def end(self, result: Any, *, failed: bool = False) -> None:
        seconds, watch = time.perf_counter() - self._started, self._watch
        if self._features is None:
            return
        try:
            prediction = watch.prediction(result) if watch.prediction and not failed else result
            score = watch.score(result) if watch.score and not failed else None
        except Exception as error:  # noqa: BLE001 - as above
            watch.monitor.drop("invalid", self._features.rows, describe(error))
            return
        watch.monitor.copied(self._features, prediction, score, self._id, latency_seconds=seconds)


class _Watch:
    def __init__(
        self,
        monitor: Watches,
        function: Callable[..., Any],
        features: str,
        id: str,  # noqa: A002 - as above
        prediction: Callable[[Any], Any] | None,
        score: Callable[[Any], Any] | None,
    ) -> None:
        parameters = list(inspect.signature(function).parameters.values())
        named = [each.name for each in parameters if each.name not in ("self", "cls")]
        if not features and not named:
            raise ConfigError("the function takes no features")
        self.monitor = monitor
        self.features = _Argument(parameters, features or named[0])
        self.id = _Argument(parameters, id) if id else None
        self.prediction = prediction
        self.score = score


def watch(
    monitor: Watches,
    function: Callable[..., Any],
    features: str,
    id: str,  # noqa: A002 - as above
    prediction: Callable[[Any], Any] | None,
    score: Callable[[Any], Any] | None,
) -> Callable[..., Any]:
    """Return the function with its calls sent to a monitor, as `Monitor.watch` says.

    Raises:
        ConfigError: it lacks the arguments, or is a generator.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError("a generator cannot be watched: call `predictions` with what it made")
    watched = _Watch(monitor, function, features, id, prediction, score)

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def call_async(*arguments: Any, **named: Any) -> Any:
            call = _Call(watched, arguments, named)
            try:
                with monitor.in_flight.request():
                    result = await function(*arguments, **named)
            except Exception:
                call.end(None, failed=True)
                raise
            call.end(result)
            return result

        return call_async

    @wraps(function)
    def call_function(*arguments: Any, **named: Any) -> Any:
        call = _Call(watched, arguments, named)
        try:
            with monitor.in_flight.request():
                result = function(*arguments, **named)
        except Exception:
            call.end(None, failed=True)
            raise
        call.end(result)
        return result

    return call_function
