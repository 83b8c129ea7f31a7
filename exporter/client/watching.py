"""Decorator of functions that predict."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any

from exporter.client.counts import describe
from exporter.client.snapshot import Features, copy_features
from exporter.errors import ConfigError

if TYPE_CHECKING:
    from exporter.client.monitor import Monitor


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


class _Watch:
    """Arguments of `watch`, found in the function's signature."""

    def __init__(
        self,
        monitor: Monitor,
        function: Callable[..., Any],
        features: str,
        id: str,  # noqa: A002 - the field's name everywhere else
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


class _Call:
    """Context of one call, in which `result` is set. Features are copied at its start, since the function may
    change them; they and the result are sent at its end."""

    def __init__(self, watch: _Watch, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.result: Any = None
        self._watch = watch
        self._features: Features | None = None
        self._id: Any = None
        monitor = watch.monitor
        try:
            self._features = copy_features(watch.features.of(arguments, named), monitor.feature_names)
            self._id = watch.id.of(arguments, named) if watch.id is not None else None
        except Exception as error:  # noqa: BLE001 - nothing may reach the service
            monitor.drop("invalid", 1, describe(error))
        self._request = monitor.in_flight.request()

    def __enter__(self) -> _Call:
        self._started = time.perf_counter()
        self._request.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        seconds, watch = time.perf_counter() - self._started, self._watch
        self._request.__exit__()
        if self._features is None or not isinstance(error, Exception | None):
            return
        prediction, score = self.result, None
        try:
            if error is None:
                prediction = watch.prediction(self.result) if watch.prediction else self.result
                score = watch.score(self.result) if watch.score else None
        except Exception as wrong:  # noqa: BLE001 - as above
            watch.monitor.drop("invalid", self._features.rows, describe(wrong))
            return
        watch.monitor.copied(self._features, prediction, score, self._id, latency_seconds=seconds)


def watch(
    monitor: Monitor,
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
            with _Call(watched, arguments, named) as call:
                call.result = await function(*arguments, **named)
            return call.result

        return call_async

    @wraps(function)
    def call_function(*arguments: Any, **named: Any) -> Any:
        with _Call(watched, arguments, named) as call:
            call.result = function(*arguments, **named)
        return call.result

    return call_function
