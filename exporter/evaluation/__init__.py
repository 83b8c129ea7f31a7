"""Figures and verdicts from a reference, counts and the current time: pure functions.

`drift.evaluate` measures drift (`comparison`, `live_variation`), change against the recent past (`change`)
and data quality (`data_quality`) of a version's windows. `model_quality.evaluate_quality` measures quality
from labels (`coverage`, `weighting`, `figures`), judges it against baselines (`quality_reference`,
`baselines`, `quality_variation`, `quality_verdicts`) and estimates it without labels (`estimation`).
`segments` does both for a segment. All of them take a `context.EvaluationContext`.
"""
