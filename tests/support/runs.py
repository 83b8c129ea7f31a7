"""Runs of MLflow, without MLflow."""

from __future__ import annotations

from dataclasses import replace

from exporter.registry.runs import Experiment, Run, RunLedger

MANY = 100


def make_run(number: int, experiment: str = "e", **own: object) -> Run:
    """The `number`th run of an experiment, started at that time."""
    run = Run(f"{experiment}{number}", experiment, f"run {number}", "FINISHED", float(number), {"auc": 0.9})
    return replace(run, **own)  # type: ignore[arg-type] # of the fields' own types


def make_ledger(*runs: Run, experiments: tuple[str, ...] = ("e",), max_experiments: int = MANY) -> RunLedger:
    ledger = RunLedger(max_experiments)
    ledger.follow(experiments)
    ledger.update(runs, now=1)
    return ledger


def view(ledger: RunLedger) -> list[Experiment]:
    return ledger.view({key: key for key in ledger.experiment_ids})
