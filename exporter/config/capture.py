"""Configuration of capture: the section `capture` of `exporter.yml`.

capture:
  wait: 60s
  services:
    fraud-detector: {model: fraud, alias: champion, endpoints: {canary: {alias: challenger}}}
    shop/ranking: {model: ranking, version: 7, id_column: session}
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from exporter.config.section import EmptyMapping, Name, Names, Seconds, Section

MIN_WAIT_SECONDS, MAX_WAIT_SECONDS = 1.0, 3600.0


def _wait(seconds: float) -> float:
    if not MIN_WAIT_SECONDS <= seconds <= MAX_WAIT_SECONDS:
        raise ValueError(f"has to be from {MIN_WAIT_SECONDS:g}s to {MAX_WAIT_SECONDS / 3600:g}h")
    return seconds


ServiceName = Annotated[str, Field(min_length=1, max_length=513)]


class EndpointConfig(Section):
    """The version of an endpoint, such as `canary`; the model is the service's unless it is set."""

    model: Name | None = None
    version: Name | None = None
    alias: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.version is None) == (self.alias is None):
            raise ValueError("`version` or `alias` is required, not both")
        return self


class ServiceConfig(Section):
    """Version that an inference service serves, and the names in its payloads.

    `columns` name inputs without names. `prediction` and `score` name outputs. Events of other `components`
    than these are ignored: the payloads of a transformer are not those of the model.
    """

    model: Name
    version: Name | None = None
    alias: Name | None = None
    endpoints: Annotated[dict[Name, EndpointConfig], EmptyMapping] = {}
    id_column: Name | None = None
    columns: Names = ()
    prediction: Name | None = None
    score: Name | None = None
    component: Name = "predictor"

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if self.version is not None and self.alias is not None:
            raise ValueError("`version` or `alias`, not both")
        if self.version is None and self.alias is None and not self.endpoints:
            raise ValueError("`version`, `alias` or `endpoints` is required")
        return self


class CaptureConfig(Section):
    """The section `capture`: services by `name` or `namespace/name`, of which the latter comes first.

    `wait` is how long half an exchange waits for the other one, in seconds.
    """

    wait: Annotated[Seconds, AfterValidator(_wait)] = 60.0
    services: Annotated[dict[ServiceName, ServiceConfig], EmptyMapping] = {}
