"""Pydantic models of reports of serving processes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporter.payloads.target import Target
from exporter.serving_processes import MAX_REASONS, GpuUse, ServingProcess

MAX_NUMBER = 2.0**53

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Figure = Annotated[float, Field(ge=0, le=MAX_NUMBER, allow_inf_nan=False)]
_Ratio = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, le=int(MAX_NUMBER))]
_Reason = Annotated[str, Field(pattern="^[a-z_]{1,40}$")]


class GpuReport(BaseModel):
    """A device that the process works on; the figures are of all its processes."""

    gpu: Annotated[str, Field(min_length=1, max_length=100, description="The UUID.")]
    utilization_ratio: _Ratio | None = None
    memory_bytes: _Figure | None = None
    memory_limit_bytes: _Figure | None = None


class ServingReport(BaseModel):
    """Resources that a process takes which serves exactly one of `version` and `alias`.

    Counts are since the process started. Unknown keys are ignored, since they are of a later release.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "fraud",
                    "version": "3",
                    "host": "web-1",
                    "process": "7-1764500000",
                    "cpu_seconds": 81.5,
                    "cpu_limit_cores": 2,
                    "memory_bytes": 734003200,
                    "in_flight_requests": 3,
                    "sent_rows": 120400,
                    "dropped_rows": {"queue_full": 0},
                }
            ]
        }
    )

    model: _Name
    version: _Name | _Count | None = None
    alias: _Name | None = None
    host: _Name
    process: Annotated[_Name, Field(description="Unique on its host, also over time.")]
    cpu_seconds: _Figure | None = None
    cpu_limit_cores: _Figure | None = None
    memory_bytes: _Figure | None = None
    memory_limit_bytes: _Figure | None = None
    threads: _Count | None = None
    open_files: _Count | None = None
    in_flight_requests: _Count | None = None
    sent_rows: _Count | None = None
    dropped_rows: Annotated[dict[_Reason, _Count], Field(max_length=MAX_REASONS)] = {}
    gpus: Annotated[list[GpuReport], Field(max_length=16)] = []

    @model_validator(mode="after")
    def _check_target(self) -> ServingReport:
        if (self.version is None) == (self.alias is None):
            raise ValueError("either `version` or `alias`")
        return self

    @property
    def target(self) -> Target:
        return Target(
            self.model,
            "" if self.version is None else str(self.version),
            "" if self.alias is None else self.alias,
        )

    @property
    def serving_process(self) -> ServingProcess:
        figures = self.model_dump(exclude={"model", "version", "alias", "gpus"})
        gpus = {gpu.gpu: GpuUse(**vars(gpu)) for gpu in self.gpus}  # one series of each
        return ServingProcess(**figures, gpus=tuple(gpus.values()))
