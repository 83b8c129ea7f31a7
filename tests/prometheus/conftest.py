"""Groups of alerts as Alertmanager hands them to a template, and what its own tool makes of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.prometheus.alerting import PROMETHEUS, grouping

Alert = dict[str, Any]
Render = Callable[[str, Sequence[Alert]], str]

RUNBOOK = "https://example.org/runbook.md"


def alert(column: str = "", *, resolved: bool = False, **labels: str) -> Alert:
    """Feature drift of one column, unless the labels say otherwise."""
    all_labels = {
        "alertname": "ModelFeatureDrift", "severity": "warning", "model": "flights", "model_version": "3",
        "column": column, **labels,
    }  # fmt: skip
    return {
        "status": "resolved" if resolved else "firing",
        "labels": {name: value for name, value in all_labels.items() if value},
        "annotations": {
            "summary": f"Summary of {all_labels['model']} v{all_labels['model_version']} {column}.",
            "description": "What to do.",
            "observed": "PSI 0.412",
            "expected": "at most 0.153 over 24h",
            "aliases": "champion, shadow",
            "runbook_url": RUNBOOK,
            "dashboard_url": f"http://localhost:3000/d/mlflow-model?var-model=flights&var-column={column}",
        },
        "startsAt": "2026-11-23T10:04:05Z",
        "endsAt": "2026-11-23T11:30:00Z" if resolved else "0001-01-01T00:00:00Z",
    }


def shared(maps: Sequence[dict[str, str]]) -> dict[str, str]:
    return dict(set.intersection(*(set(each.items()) for each in maps)))


@pytest.fixture
def render(program: Callable[[str], str], tmp_path: Path) -> Render:
    """Renders a template for a group of alerts: "subject", "text", "html", "slack.title", ..."""

    def rendered(template: str, alerts: Sequence[Alert]) -> str:
        labels = shared([each["labels"] for each in alerts])
        group_by = grouping(labels["alertname"])
        data = {
            "receiver": "oncall",
            "status": "firing" if any(each["status"] == "firing" for each in alerts) else "resolved",
            "alerts": alerts,
            "groupLabels": {name: value for name, value in labels.items() if name in group_by},
            "commonLabels": labels,
            "commonAnnotations": shared([each["annotations"] for each in alerts]),
            "externalURL": "http://localhost:9093",
        }
        path = tmp_path / "data.json"
        path.write_text(json.dumps(data))
        command = [
            program("amtool"), "template", "render",
            f"--template.glob={PROMETHEUS / 'templates' / '*.tmpl'}",
            f"--template.data={path}",
            f"--template.type={'html' if template == 'html' else 'text'}",
            f'--template.text={{{{ template "mlflow.{template}" . }}}}',
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.rstrip("\n")

    return rendered
