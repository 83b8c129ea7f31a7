"""Whether labels come, how late, for which part of the traffic, and whether they are as they were."""

from __future__ import annotations

from collections.abc import Iterator

import look
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.models import common

from model import quality_queries as q

_NO_LABELS = "No labels have come."


def labels() -> Iterator[look.Panel]:
    yield (
        look.number(
            "Coverage, $window",
            "Share of the predictions in the matured window that have a label. Below 80 % labels may come "
            "from a part that is unlike the rest, and verdicts are held back.",
            unit="percentunit",
            width=4,
            height=3,
        )
        .decimals(1)
        .color_scheme(look.by_threshold())
        .thresholds(look.steps(look.PLAIN, (0, look.BEYOND), (0.8, look.PLAIN)))
        .with_target(look.now(q.CHOSEN_COVERAGE))
    )
    yield look.number(
        "Labelled rows, $window",
        "Labelled predictions that the figures of quality rest on. Below 200 there is no verdict.",
        unit="short",
        width=4,
        height=3,
    ).with_target(look.now(q.LABELS))
    yield look.number(
        "Labels",
        "Labels per second that met their prediction, all replicas together.",
        unit="rowsps",
        width=4,
        height=3,
    ).with_target(look.now(q.LABEL_RATE))
    yield look.number(
        "Median delay",
        "Half of the labels that come now come sooner after their prediction than this.",
        unit="s",
        width=4,
        height=3,
    ).with_target(look.now(q.delay(0.5)))
    yield (
        look.number(
            "Labels may take",
            "Windows of quality end this long before now, so that late labels do not distort them. "
            "Nothing: what has come counts, and what comes late is missing until it does.",
            unit="s",
            width=4,
            height=3,
        )
        .mappings(look.texts({0: ("Not set", look.PLAIN)}))
        .with_target(look.now(q.MATURATION))
    )
    yield (
        look.number(
            "Unmatched labels",
            "Labels of this model that met no prediction within a day after the one on which they came, in "
            "the dashboard's time range: wrong ids, or predictions that never arrived.",
            unit="short",
            width=4,
            height=3,
        )
        .decimals(0)
        .with_target(look.now(q.UNMATCHED))
    )
    delay = look.lines(
        "Label delay",
        "Time from a prediction to its label, of labels as they come: the median, and what the slowest "
        "tenth and hundredth exceed.",
        unit="s",
        width=8,
        height=8,
    ).no_value(_NO_LABELS)
    for share, color in ((0.99, "dark-blue"), (0.9, "blue"), (0.5, "light-blue")):
        name = f"p{share * 100:.0f}"
        delay = delay.with_target(look.query(q.delay(share), name, name))
        delay = delay.override_by_name(name, [look.painted(color), look.unfilled()])
    yield delay
    yield (
        look.lines(
            "Label coverage by window",
            "Share of the predictions in each matured window that have a label. Below the dashed line "
            "verdicts are held back.",
            unit="percentunit",
            width=8,
            height=8,
        )
        .max(1)
        .fill_opacity(0)
        .thresholds(look.steps("transparent", (0.8, look.LIMIT)))
        .thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
        .no_value(_NO_LABELS)
        .with_target(look.query(q.COVERAGE, "{{window}}"))
    )
    yield (
        look.lines(
            "Label drift, $window",
            "Drift score of the labels themselves. Labels that drift while inputs do not are a "
            "sign of concept drift.",
            unit="none",
            width=8,
            height=8,
        )
        .override_by_name("Score", [look.painted(look.LIVE)])
        .override_by_name("Limit", [look.painted(look.LIMIT), look.dashed(), look.unfilled()])
        .no_value("Labels have no score in this window.")
        .with_target(look.query(q.label_drift("score"), "Score", "score"))
        .with_target(look.query(q.label_drift("limit"), "Limit", "limit"))
    )
    yield (
        look.listing(
            "Quality by class, $window",
            "Of each class: the share of its predictions that are right (precision), the share of its rows "
            "that are found (recall), and the harmonic mean of both (f1).",
            unit="none",
            width=12,
            height=8,
        )
        .decimals(3)
        .no_value("There are no labels, or no classes.")
        .with_target(look.rows(q.CLASSES, "A"))
        .with_transformation(
            look.transformation(
                "groupingToMatrix",
                columnField="metric",
                rowField="class",
                valueField="Value",
                emptyValue="null",
            )
        )
        .with_transformation(look.arranged({"class\\metric": "Class"}))
    )
    yield (
        look.lines(
            "Estimate minus real quality, $window",
            "How far the estimate was off where labels have come since. Near zero it may be trusted while "
            "inputs change; a lasting distance is concept drift, or scores that are not calibrated.",
            unit="none",
            width=12,
            height=8,
            from_zero=False,
        )
        .decimals(3)
        .fill_opacity(0)
        .no_value("There is no window with both labels and an estimate.")
        .with_target(look.query(q.ESTIMATE_ERROR, "{{metric}}"))
    )
