"""Reference data -> `Reference`: the columns and their bins, the counts, and how much the data varies.

`files` reads files as tables (`csv_types`, `json_columns`), and `build` profiles a table: the roles of its
columns (`column_roles`, `own_columns`), their bins (`column_bins`), their `counts`, `outcomes` of labelled
rows, and `segments`. The service does both in a child process (`isolated`). `from_live_rows` makes reference
data of a version's first rows, `from_recent_counts` a reference of what it counted lately.
"""
