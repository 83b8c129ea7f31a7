"""Reference data -> `Reference`: the columns and their bins, the counts, and how much the data varies.

`files` reads files as tables (`csv_types`, `json_columns`), and `build` profiles a table: the roles of its
columns (`column_roles`, `own_columns`), their bins (`column_bins`), their `counts`, `outcomes` of labelled
rows, and `segments`. The service does both in a child process (`isolated`), and keeps some rows beside the
profile (`kept_rows`). `from_live_rows` makes reference data of a version's first rows, `from_sampled_rows` a
reference of its sampled ones (`sampled_columns`), in which parts of the former one may stay (`former_parts`).
"""
