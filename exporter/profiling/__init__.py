"""Reference data -> `Reference`: the columns and their bins, the counts, and how much the data varies.

`files` reads files as tables, `build` profiles a table, and `isolated` does both in a child process, which is
how the service does it. `from_live_rows` makes reference data of a version's first rows, `from_recent_counts`
a reference of what it counted lately.
"""
