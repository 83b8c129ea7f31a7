"""Two versions, each named by an alias: which is better."""

from __future__ import annotations

from collections.abc import Iterator

import look
from grafana_foundation_sdk.models import common

from versions import queries as q

_WORDS = {1: ("better", look.GOOD), 0: ("close", look.UNKNOWN), -1: ("worse", look.BAD)}
_NOTHING = "There are no labels of both versions in this window."


def outcome() -> Iterator[look.Panel]:
    for alias, role in ((q.CHAMPION, "champion"), (q.CHALLENGER, "challenger")):
        yield (
            look.number(
                f"Alias {alias}",
                f"Number of the version that the alias chosen as {role} points to in MLflow.",
                unit="prefix:version ",
                width=5,
            )
            .no_value("No such alias")
            .with_target(look.now(q.version_of(alias)))
        )
    yield (
        look.number(
            "Metrics of the challenger against the champion",
            "Metrics in which the challenger is better or worse beyond chance: the 99 % intervals of both "
            "lie apart. Close: they overlap, which needs more labels or means no difference.",
            unit="none",
            width=9,
        )
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
        .color_scheme(look.by_threshold())
        .thresholds(look.steps(look.UNKNOWN))
        .override_by_name("better", [look.stepped(look.steps(look.UNKNOWN, (1, look.GOOD)))])
        .override_by_name("worse", [look.stepped(look.steps(look.UNKNOWN, (1, look.BAD)))])
        .no_value("Nothing to compare")
        .with_target(look.now(q.OUTCOMES, "{{outcome}}"))
    )
    yield (
        look.number(
            "Alias $champion moved",
            "Time since the alias chosen as champion was seen to point to its version first.",
            unit="s",
            width=5,
        ).with_target(look.now(q.since_move(q.CHAMPION)))
    )


def metrics() -> Iterator[look.Panel]:
    panel = look.listing(
        "$challenger against $champion, $window",
        "Figures of both with their 99 % intervals; the difference is the challenger's minus the champion's. "
        "Better and worse heed each metric's direction and need intervals that lie apart.",
        unit="none",
        width=16,
        height=11,
    )
    titles = {"metric": "Metric", "better": "$challenger is", "difference": "Difference"}
    panel = panel.with_target(look.rows(q.BETTER, "better")).with_target(
        look.rows(q.DIFFERENCE, "difference")
    )
    for alias, short in ((q.CHAMPION, "A"), (q.CHALLENGER, "B")):
        for suffix, title in (("", alias), ("_lower", f"{alias} ≥"), ("_upper", f"{alias} ≤")):
            ref = f"{short}{suffix}"
            panel = panel.with_target(look.rows(q.compared(f"mlflow_model_quality{suffix}", alias), ref))
            titles[ref] = title  # unlike any other, or Grafana shows one column in place of both
    yield (
        panel.decimals(3)
        .transformations(look.merged(("metric",), titles))
        .with_transformation(look.sorted_by("Metric"))
        .no_value(_NOTHING)
        .override_by_regexp(".* is", look.worded(_WORDS))
        .override_by_regexp("^(?!Metric$|.* is$|.* [≥≤]$).*", look.column(88))
        .override_by_regexp(".* [≥≤]$", look.column(102))
    )
    yield _over_time()


def _over_time() -> look.Panel:
    panel = (
        look.lines(
            "$metric of $champion and $challenger, $window",
            "By labels, with 99 % intervals, of the version that each alias pointed to at the time. Dashed: "
            "how far the champion may be from its baseline. Marks are moves of aliases.",
            unit="none",
            width=8,
            height=11,
            from_zero=False,
        )
        .decimals(3)
        .fill_opacity(0)
        .no_value(_NOTHING)
    )
    for alias, ref, color in ((q.CHAMPION, "champion", look.LIVE), (q.CHALLENGER, "challenger", look.OTHER)):
        for end in ("lower", "upper"):
            expression = q.of_alias(f"mlflow_model_quality_{end}", q.CHOSEN, alias)
            panel = panel.with_target(look.query(expression, f"{ref}, {end}", f"{ref} {end}"))
        panel = panel.with_target(look.query(q.of_alias("mlflow_model_quality", q.CHOSEN, alias), ref, ref))
        panel = panel.override_by_name(ref, [look.painted(color)])
        for bound, properties in look.bounds(f"{ref}, upper", f"{ref}, lower", color).items():
            panel = panel.override_by_name(bound, properties)
    panel = panel.with_target(look.query(q.limit_of(q.CHAMPION), "limit", "limit"))
    return panel.override_by_name("limit", [look.painted(look.LIMIT), look.dashed()])
