"""Usual traffic, latency and labels: a model's own past -> limits for its present. Pure.

`traffic.judge_silence` knows how long an alias may be without predictions, `latency.judge_latency` how slow a
version may answer, `labels` how long a model may be without labels and how few of its predictions may have
one. A limit is absent where the past does not say.
"""
