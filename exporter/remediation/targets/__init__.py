"""Targets: orchestrators that are asked for a retraining, and endpoints that are told of an alert.

Each kind is a module that describes its requests and answers; `Targets` sends them so that an action starts
at most one run, whatever answer is lost.
"""

from exporter.remediation.targets.dispatching import Targets
from exporter.remediation.targets.outcome import Dispatch, Job, Progress

__all__ = ["Dispatch", "Job", "Progress", "Targets"]
