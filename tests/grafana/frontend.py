"""Queries as Grafana sends them: variables are resolved one after the other, then filled in."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.grafana.dashboards import charts
from tests.support.fakes import TIMEOUT_SECONDS

Series = dict[str, Any]
# Between several values of one variable.
AND = "\x1f"
ALL = "$__all"


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus, asked about the `range_seconds` before `at`, in seconds since the epoch."""

    url: str
    at: float
    range_seconds: int = 300

    def now(self, expression: str) -> list[Series]:
        """Result of an instant query; a number is a series without labels."""
        data = self._get("query", query=expression, time=self.at)
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        return list(data["result"])

    def over_time(self, expression: str) -> list[Series]:
        step = max(1, self.range_seconds // 60)
        start = self.at - self.range_seconds
        return list(self._get("query_range", query=expression, start=start, end=self.at, step=step)["result"])

    def label_values(self, label: str, selector: str) -> list[str]:
        """Values of a label in the range, sorted as text."""
        start = self.at - self.range_seconds
        return list(
            self._get(f"label/{label}/values", **{"match[]": selector, "start": start, "end": self.at})
        )

    def _get(self, path: str, **parameters: Any) -> Any:
        address = f"{self.url}/api/v1/{path}?{urlencode(parameters)}"
        try:
            with urlopen(address, timeout=TIMEOUT_SECONDS) as response:
                answer = json.load(response)
        except HTTPError as error:
            answer = json.load(error)
        assert answer["status"] == "success", f"{answer.get('error')}: {parameters}"
        return answer["data"]


@dataclass
class Opened:
    """A dashboard in the browser: values of its variables, and what each of them offers."""

    dashboard: dict[str, Any]
    prometheus: Prometheus
    values: dict[str, str] = field(default_factory=dict)
    options: dict[str, list[str]] = field(default_factory=dict)

    def queries(self) -> Iterator[tuple[str, str, bool]]:
        """Title and letter, expression and whether it is instant, of the queries of all panels."""
        for panel in charts(self.dashboard):
            for target in panel["targets"]:
                yield (
                    f"{panel['title']} {target['refId']}",
                    self.fill_in(target["expr"]),
                    bool(target.get("instant")),
                )

    def fill_in(self, text: str) -> str:
        """The text with values in place of variables."""

        def value(found: re.Match[str]) -> str:
            name, form = found[1] or found[3], found[2]
            text = self.values[name]
            match form:
                case "doublequote":
                    return '"' + text.replace('"', '\\"') + '"'
                case "regex":
                    each = [re.sub(r"[-\\^$*+?.()|\[\]{}/]", r"\\\g<0>", part) for part in text.split(AND)]
                    return text if text == ".*" else each[0] if len(each) == 1 else f"({'|'.join(each)})"
                case _:
                    return text

        return re.sub(r"\$\{(\w+)(?::(\w+))?\}|\$([A-Za-z_]\w*)", value, text)

    def answer(self, title: str, ref: str = "A") -> list[Series]:
        """Result of a panel's query; the title is written as in the dashboard."""
        (found,) = (
            (expression, instant)
            for place, expression, instant in self.queries()
            if place == f"{title} {ref}"
        )
        return self.prometheus.now(found[0]) if found[1] else self.prometheus.over_time(found[0])


def open_dashboard(dashboard: dict[str, Any], prometheus: Prometheus, **chosen: str) -> Opened:
    """Open a dashboard with its defaults, except for the values that the link to it has."""
    seconds = prometheus.range_seconds
    opened = Opened(
        dashboard,
        prometheus,
        {
            "__range": f"{seconds}s",
            "__range_s": str(seconds),
            "__interval": f"{max(1, seconds // 60)}s",
            "__interval_ms": str(1000 * max(1, seconds // 60)),
            "__rate_interval": f"{max(20, seconds // 15)}s",
            "__from": str(int(1000 * (prometheus.at - seconds))),
            "__to": str(int(1000 * prometheus.at)),
        },
    )
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        offered = opened.options[name] = _options(variable, opened)
        opened.values[name] = chosen.get(name, _default(variable, offered))
    return opened


def has_data(series: list[Series]) -> bool:
    """True if any value is a number."""
    values = (
        value for each in series for _, value in (*each.get("values", ()), *filter(None, [each.get("value")]))
    )
    return any(not math.isnan(float(value)) for value in values)


def _options(variable: Mapping[str, Any], opened: Opened) -> list[str]:
    match variable["type"]:
        case "datasource":
            return ["default"]
        case "query":
            return _queried(variable, opened)
        case "custom":
            return [part.rpartition(" : ")[2].strip() for part in variable["query"].split(",")]
        case "constant" | "textbox" | "interval":
            return [variable["query"].split(",")[0]]
    raise AssertionError(f"variable of type {variable['type']}")


def _queried(variable: Mapping[str, Any], opened: Opened) -> list[str]:
    text = opened.fill_in(variable["query"]["query"])
    if found := re.fullmatch(r"label_values\((.*), *(\w+)\)", text, re.DOTALL):
        texts = opened.prometheus.label_values(found[2], found[1])
    else:
        found = re.fullmatch(r"query_result\((.*)\)", text, re.DOTALL)
        assert found, text
        texts = [_as_text(each) for each in opened.prometheus.now(found[1])]
    if variable.get("regex"):
        pattern = re.compile(variable["regex"].strip("/"))
        texts = [each[1] for each in map(pattern.search, texts) if each]
    texts = list(dict.fromkeys(texts))
    match variable.get("sort", 0):
        case 0:
            return texts
        case 3 | 4 | 7 | 8 as sort:
            return sorted(texts, key=_naturally, reverse=sort in (4, 8))
        case sort:
            return sorted(texts, reverse=sort in (2, 6))


def _as_text(series: Series) -> str:
    """A result as `query_result` has it. Quotes in values are not escaped."""
    labels = dict(series["metric"])
    name = labels.pop("__name__", "")
    at, value = series["value"]
    pairs = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"{name}{{{pairs}}} {value} {1000 * at:.0f}"


def _naturally(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)]


def _default(variable: Mapping[str, Any], offered: list[str]) -> str:
    current = str((variable.get("current") or {}).get("value") or "")
    if current == ALL and variable.get("includeAll"):
        return str(variable.get("allValue") or AND.join(offered))
    if current in offered:
        return current
    return offered[0] if offered else ""
