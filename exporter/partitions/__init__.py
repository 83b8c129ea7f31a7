"""All partitions of a topic as one store: what workers have counted in theirs, for the evaluator.

Workers commit counts to the partitions, each changed row with the number of its commit
(`exporter.storage.transaction`). Before each evaluation `sums` reads the rows that have changed since the
last one: `tables` does so for all partitions in one statement, and `counts` adds them up to the counts of the
fleet's versions, from which figures, verdicts and `/metrics` are made as in a single process. `arrivals` adds
up the hours of traffic. `rows` reads sampled rows with their labels, and rows that wait for a reference, from
one partition after the other (`reader`).

`exporter.monitoring.group_counting` uses the package, and writes the references that workers follow.
"""
