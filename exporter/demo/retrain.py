"""Trains a challenger, as the command of the demo's retraining, with JSON on standard input.

`{"action_id": "...", "seconds_per_day": "5"}`. The new version carries the action's id, by which the exporter
finds it and makes it the challenger.
"""

from __future__ import annotations

import json
import os
import sys

from exporter.demo.flights import load_flights, split_flights
from exporter.demo.releases import now
from exporter.demo.scenario import Pace
from exporter.demo.training import TREES, register, train


def retrain(action_id: str, pace: Pace) -> str:
    """Train and register the trees, and return their version."""
    training, held_out, _ = split_flights(load_flights())
    return register(train(TREES, training, held_out, pace, now()), pace, {"monitoring.action_id": action_id})


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # as in `exporter.demo.app`
    asked = json.load(sys.stdin)
    print("version", retrain(asked["action_id"], Pace(int(asked["seconds_per_day"]))))
