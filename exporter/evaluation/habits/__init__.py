"""Usual traffic, latency and labels: a model's own past -> limits for its present. Pure.

`traffic.judge_silence` limits an alias' time without predictions, `latency.judge_latency` the latency of a
version, `labels` a model's time without labels and their coverage. A limit is absent where the past does not
say.
"""
