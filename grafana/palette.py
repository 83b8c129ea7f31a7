"""The colours of all dashboards: each has one meaning, and they are told apart by the colour-blind."""

from __future__ import annotations

# States, as grounds that Grafana writes on in black or white; never as the colour of text. Dark red is kept
# for a verdict: a score beyond its limit alone is orange. The same in dark and light.
GOOD, NEAR, BEYOND, BAD, UNKNOWN = "#2a6bd4", "#fdf31d", "#f5a36f", "#c8102e", "#6b7078"
STATES = {"good": GOOD, "near": NEAR, "beyond": BEYOND, "bad": BAD, "unknown": UNKNOWN}
# Lines: the reference is grey, live data and the champion are blue, what they are compared with is green, and
# a limit is orange, wherever they are drawn; columns that may explain what is beside them are purple.
REFERENCE, LIVE, OTHER, LIMIT, CAUSE = "#868d96", "#2a7de1", "#1f7a5c", "#d9730d", "#a14591"
LINES = {"reference": REFERENCE, "live": LIVE, "other": OTHER, "limit": LIMIT, "cause": CAUSE}
