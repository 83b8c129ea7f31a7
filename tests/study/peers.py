"""Alerts of other tools: a daily job that compares each day with the reference, and any column counts.

PSI above 0.1 or 0.2 is the rule of thumb of credit scoring and what most write for themselves; p < 0.05 by
Kolmogorov and Smirnov for numbers and chi-square for categories is what drift libraries take by default on
references of ordinary size (Evidently up to 1,000 rows, Alibi Detect for any). Here on the exporter's bins: a
distance on bins is never more than on values, so what is counted is no more than they would alert.
"""

from __future__ import annotations

import numpy as np
from scipy.special import kolmogorov

from exporter.measures.distances import ks
from exporter.measures.psi import psi, shares
from exporter.measures.significance import chi_square, p_value
from exporter.reference.profile import Reference
from exporter.typing import Bools, Floats, Ints

PEERS = ("PSI > 0.1", "PSI > 0.2", "p < 0.05")


def alarms(reference: Reference, days: Ints) -> dict[str, Bools]:
    """(replicas, days, cells) -> by peer (days, columns): whether any replica's job finds drift."""
    layout = reference.cell_layout
    counts, base = layout.pad(days), layout.pad(reference.counts)
    mask = layout.mask & (counts + base > 0)
    q, p = shares(counts, mask), shares(base, mask)
    score = psi(q, p)
    n, m = counts.sum(-1), base.sum(-1)
    judged = np.array([not column.unjudged for column in reference.columns])
    with np.errstate(invalid="ignore", divide="ignore"):
        distance: Floats = ks(counts / n[..., None], base / m[:, None], layout.ordered)
        of_numbers = kolmogorov(distance * np.sqrt(n * m / (n + m)))
    of_categories = p_value(chi_square(counts, np.broadcast_to(base, counts.shape), mask), mask.sum(-1))
    p_values = np.where(layout.ordered, of_numbers, of_categories)
    found = {"PSI > 0.1": score > 0.1, "PSI > 0.2": score > 0.2, "p < 0.05": p_values < 0.05}
    return {name: (beyond & judged & (n > 0)).any(axis=0) for name, beyond in found.items()}
