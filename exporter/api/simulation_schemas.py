"""Pydantic models of what policies would do about alerts."""

from __future__ import annotations

from pydantic import BaseModel, Field

from exporter.remediation import simulate


class GuardCheck(BaseModel):
    """The answer of a guard: it passes if `reason` is empty."""

    guard: str
    reason: str
    unknown: bool = Field(description="MLflow has not answered.")


class PolicyAnswer(BaseModel):
    """Answer of a policy to an alert, as things are now."""

    policy: str
    mode: str
    says: str = Field(description="The answer in words.")
    action: str = Field(description="The kind of action; empty if none would be planned.")
    id: str
    model: str
    alias: str
    model_version: str
    target_version: str
    guards: list[GuardCheck] = Field(description="All that apply to the action, in order.")

    @classmethod
    def of(cls, answer: simulate.Answer) -> PolicyAnswer:
        names = ("action", "id", "model", "alias", "model_version", "target_version")
        return cls(
            policy=answer.policy,
            mode=answer.mode,
            says=answer.says,
            guards=[GuardCheck(**vars(check)) for check in answer.checks],
            **{name: getattr(answer.action, name, "") for name in names},
        )


class AlertAnswers(BaseModel):
    """An alert, and what each policy would do about it."""

    status: str
    labels: dict[str, str]
    times: int = Field(description="Number of alerts with the same status and labels.")
    policies: list[PolicyAnswer]


class SimulationAnswer(BaseModel):
    """Answers of all policies. Nothing was done, and only who asked is recorded."""

    alerts: list[AlertAnswers]
    omitted: int = Field(description="Number of alerts with other labels beyond the limit.")

    @classmethod
    def of(cls, found: simulate.Simulation) -> SimulationAnswer:
        alerts = [
            AlertAnswers(
                status=each.alert.status,
                labels=dict(each.alert.labels),
                times=each.times,
                policies=[PolicyAnswer.of(answer) for answer in each.answers],
            )
            for each in found.alerts
        ]
        return cls(alerts=alerts, omitted=found.omitted)
