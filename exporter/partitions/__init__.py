"""All partitions of a topic as one store: what workers have counted in theirs, for the evaluator.

`tables` reads the same tables of all partitions in one statement; `sums` keeps the versions of the fleet
equal to the sums over all partitions, with the arithmetic of `counts`.
"""
