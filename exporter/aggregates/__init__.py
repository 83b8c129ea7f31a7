"""Mergeable counts of live rows: all that is kept of traffic for drift and quality.

Rows are counted by block of time in the bins of the version's reference (`block`, `timeline`, `segments`),
and labelled rows in outcomes (`outcome_layout`, `labelled_rows`, `outcomes`). Counts of the same reference
add up, over batches, blocks, windows and replicas. `counting` counts a batch, `state` holds a version's live
counts, `ageing` expires old ones, `chunks` cuts time into periods as long as a window, and `sparse` stores
vectors that are mostly zero.
"""
