"""Samples of weeks -> what the rules select of them, by Prometheus itself.

Rules are asked as they stand, with recorded series replaced by what records them: samples are backfilled, a
Prometheus is started on them, and every expression is evaluated at every moment. What bridges a failed
scrape, `[5m]`, is as long as the steps between evaluations here; `for` is left to `rules.firing`.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from exporter.exposition.catalog import CATALOG
from tests.prometheus.servers import running
from tests.study.rules import RULES, Alert

Samples = Iterable[tuple[str, float, float]]  # name with labels, value, seconds since the epoch
SELECTOR = r"(\b(?:\w+:)?mlflow_\w+(?::\w+)?)(?:\{([^}]*)\})?"  # recorded series too; no comma in a matcher
LABELS = {name: {"job", "namespace", *metric.labels} for metric in CATALOG for name in metric.series_names}
MAX_POINTS = 10_000  # a query may ask for 11,000
BLOCK = "1000h"


def expressions(names: Sequence[str], step_seconds: int) -> list[tuple[str, str, str]]:
    """(alert, severity, expression) of the rules; samples are `step_seconds` apart."""
    written = [
        rule
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]
    recorded = {rule["record"]: rule["expr"] for rule in written if "record" in rule}
    found = []
    for rule in written:
        if rule.get("alert") in names:
            expression = inlined(rule["expr"], recorded).replace("[5m]", f"[{step_seconds}s]")
            found.append((rule["alert"], rule["labels"]["severity"], expression))
    return found


def inlined(expression: str, recorded: Mapping[str, str], matchers: Sequence[str] = ()) -> str:
    """The expression over metrics alone: recorded series are replaced by the expressions that record them.

    Matchers of a recorded series become those of all metrics in its expression that have the label, unless
    they are matched by it already.

    >>> inlined('a:mlflow_up:max{job="x"} == 0', {"a:mlflow_up:max": "max without (pod) (mlflow_up)"})
    '(max without (pod) (mlflow_up{job="x"})) == 0'
    """

    def replaced(found: re.Match[str]) -> str:
        name, own = found[1], [each for each in (found[2] or "").split(",") if each]
        if name in recorded:
            return f"({inlined(recorded[name], recorded, [*own, *matchers])})"
        labels = LABELS[name] - {_label(each) for each in own}
        taken = [*own, *(each for each in matchers if _label(each) in labels)]
        return f"{name}{{{','.join(taken)}}}" if taken else name

    return re.sub(SELECTOR, replaced, expression)


def _label(matcher: str) -> str:
    return re.split("[!=]", matcher)[0].strip()


def ask(
    samples: Samples, rules: Sequence[tuple[str, str, str]], start: float, end: float, step_seconds: int
) -> dict[tuple[str, str], list[tuple[float, set[Alert]]]]:
    """Alerts whose expression is true, by model and version and by moment, queried a second after it.

    Alerts on a model, of all its versions, are those of the version "".
    """
    met: dict[tuple[str, str], dict[float, set[Alert]]] = defaultdict(lambda: defaultdict(set))
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        _backfill(samples, directory)
        config = directory / "prometheus.yml"
        config.write_text("{}")
        url = f"http://127.0.0.1:{_free_port()}"
        command = [
            _program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'prometheus-data'}",
            "--storage.tsdb.retention.time=10y",  # or all but the last two weeks would be deleted
            f"--web.listen-address={url.removeprefix('http://')}",
        ]
        with running(command, f"{url}/-/ready", directory / "prometheus.log"):
            for name, severity, expression in rules:
                for labels, moments in _evaluate(url, expression, start + 1, end + 1, step_seconds):
                    alert = Alert(
                        name,
                        severity,
                        labels.get("column", ""),
                        labels.get("role", ""),
                        metric=labels.get("metric", ""),
                        segment=labels.get("segment", ""),
                    )
                    for at in moments:
                        met[labels["model"], labels.get("model_version", "")][at - 1].add(alert)
    return {version: sorted(moments.items()) for version, moments in met.items()}


def _backfill(samples: Samples, directory: Path) -> None:
    text = directory / "samples.txt"
    with text.open("w") as output:
        output.writelines(f"{series} {value!r} {at:.3f}\n" for series, value, at in samples)
        output.write("# EOF\n")
    command = [_program("promtool"), "tsdb", "create-blocks-from", "openmetrics"]
    command += [f"--max-block-duration={BLOCK}", str(text), str(directory / "prometheus-data")]
    subprocess.run(command, check=True, capture_output=True, timeout=600)


def _evaluate(
    url: str, expression: str, start: float, end: float, step_seconds: int
) -> Iterable[tuple[Mapping[str, str], list[float]]]:
    """Labels of every series of the result, and the moments at which it is there."""
    while start <= end:
        last = min(end, start + (MAX_POINTS - 1) * step_seconds)
        query = {"query": expression, "start": str(start), "end": str(last), "step": str(step_seconds)}
        answer = httpx.post(f"{url}/api/v1/query_range", data=query, timeout=600)
        assert answer.is_success, answer.text
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        for series in result:
            yield series["metric"], [float(at) for at, _ in series["values"]]
        start = last + step_seconds


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"the study needs {name}")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
