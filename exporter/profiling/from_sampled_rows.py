"""A reference from a sample of a version's live rows: present traffic becomes normal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from typing import Any

import orjson
import pyarrow as pa

from exporter.config.models import Minimums
from exporter.errors import ReferenceInvalidError
from exporter.formats.arrow_columns import join_as_arrow
from exporter.formats.class_scores import read_scores
from exporter.formats.columns import encode_texts, from_python
from exporter.profiling.build import build_from
from exporter.profiling.column_roles import USUAL
from exporter.profiling.data import ReferenceData
from exporter.profiling.former_parts import with_former_columns, with_former_quality
from exporter.profiling.own_columns import OwnColumns, read_own_columns
from exporter.profiling.sampled_columns import feature_to_arrow, outputs_to_arrow, scores_to_classes
from exporter.reference.classes import as_classes
from exporter.reference.profile import Reference
from exporter.sampling.rows import SampledRow
from exporter.settings import DAY_SECONDS, Settings

# Seven days hold one weekend: they cannot tell how far a weekend may be from the next.
MIN_VARIATION_SECONDS = 14 * DAY_SECONDS


@dataclass(frozen=True)
class LiveSample:
    """Sampled live rows that are to become the reference of a version, in place of `former`.

    `hidden` are features that the sample has not, or only hashes of: they keep their former bins and shares.
    `said` are fields of `ReferenceData`, by name. With fewer labels than the `minimums`, what the former
    reference says of quality stays.
    """

    rows: tuple[SampledRow, ...]
    former: Reference
    hidden: frozenset[str]
    minimums: Minimums
    said: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def shows_variation(self) -> bool:
        """True if the rows are from so long a time that they show how much days differ."""
        times = [row.at for row in self.rows]
        # The first day and the last need not be whole.
        return max(times) - min(times) >= MIN_VARIATION_SECONDS - DAY_SECONDS

    @cached_property
    def labels(self) -> int:
        """Number of rows with a label."""
        return sum(row.label is not None for row in self.rows)

    @cached_property
    def tells_quality(self) -> bool:
        """True if there are enough labels for baselines of quality."""
        if self.labels < max(1, self.minimums.labels):
            return False
        former = self.former
        if former.task != "binary" or not former.classes:
            return True
        texts = as_classes(encode_texts([row.label for row in self.rows]), former.classes)
        positives = texts.rows().count(former.positive_class)
        return min(positives, self.labels - positives) >= self.minimums.positives

    @property
    def keeps_quality(self) -> bool:
        """True if the former reference's baselines of quality stay."""
        return bool(self.former.outcomes) and not self.tells_quality


def profile_live_sample(sample: LiveSample, settings: Settings) -> tuple[pa.Table, OwnColumns, Reference]:
    """The rows as a table, its columns that are not features, and the reference.

    Raises:
        ReferenceInvalidError: they cannot be a reference.
    """
    data, former = _reference_data(sample), sample.former
    whole = data.table
    data = replace(data, table=whole.drop_columns(sorted(sample.hidden & set(whole.column_names))))
    own = read_own_columns(data)
    windows = settings.windows if sample.shows_variation else ()
    reference = build_from(data, own, windows, settings.max_columns)
    notes = list(reference.notes)
    hidden = sorted(name for name in sample.hidden & former.feature_names if data.columns.select(name))
    if hidden:
        reference = with_former_columns(reference, former, hidden)
        notes.append(f"left out of the sample or hashed, so as before: {', '.join(hidden)}")
    if sample.keeps_quality:
        reference = with_former_quality(reference, former)
        notes.append(
            f"what the reference before says of quality stays: {sample.labels:,} of the sampled rows have a "
            "label, which is too few"
        )
    elif not reference.target:
        reference = replace(reference, target=former.target)
    return whole, own, replace(reference, notes=tuple(notes))


def _reference_data(sample: LiveSample) -> ReferenceData:
    """The rows as reference data, with the features of the former reference, each of its kind there."""
    sampled = sorted(sample.rows, key=attrgetter("at"))  # in their order by hash no running number would show
    try:
        rows = [orjson.loads(row.content) for row in sampled]
        features = [row["features"] for row in rows]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ReferenceInvalidError(f"a sampled row is damaged: {error!r}") from error
    former, table, odd = sample.former, dict[str, pa.Array](), list[str]()
    for column in former.columns:
        if column.role != "feature":
            continue
        kind = "category" if column.name in sample.hidden else column.kind
        table[column.name], wrong = feature_to_arrow([row.get(column.name) for row in features], kind)
        if wrong:
            odd.append(f"{column.name} ({wrong:,})")
    notes = [*sample.notes]
    if odd:
        notes.append(f"values of another type count as missing: {', '.join(odd)}")
    own: dict[str, pa.Array] = {
        "prediction": outputs_to_arrow(from_python([row.get("prediction") for row in rows]), former),
        "timestamp": pa.array([row.at for row in sampled], pa.float64()),
    }
    scores = [row.get("scores", row.get("score")) for row in rows]
    if any(score is not None for score in scores):
        own["score"] = join_as_arrow([scores_to_classes(read_scores(scores), former)])
    if sample.tells_quality:
        own["target"] = outputs_to_arrow(encode_texts([row.label for row in sampled]), former)
    inputs = dict.fromkeys(table, "")
    names = _names(own, sample)
    table |= {names.get(role, USUAL[role][0]): values for role, values in own.items()}
    said = {name: value for name, value in sample.said.items() if name not in USUAL} | names
    if sample.keeps_quality:
        said["frozen"] = {column.role: column for column in former.columns if column.role != "feature"}
    return ReferenceData(
        pa.table(table), **said | {"source": "live", "split": "live", "notes": tuple(notes), "inputs": inputs}
    )


def _names(own: Mapping[str, pa.Array], sample: LiveSample) -> dict[str, str]:
    """Names of the row's own columns by role, of those that have another name than the usual one."""
    former = sample.former
    named = former.named | ({"target": former.target} if former.target else {})
    named |= {role: sample.said[role] for role in USUAL if sample.said.get(role)}
    names = {}
    for role in own:
        name = named.get(role, USUAL[role][0])
        if name in former.feature_names:
            name = f"the row's {role}"
        if role in named or name != USUAL[role][0]:
            names[role] = name
    return names
