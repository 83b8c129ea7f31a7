"""Requests and their wire formats: from the bytes of a body to typed columns.

`predictions` and `labels` decode a request (`raw`) of any content type: JSON (`json_forms`), or `tables` in
Arrow IPC and Parquet (`arrow_ipc`, `parquet`, `arrow_columns`). The result is a `batch`, whose columns have
one type each (`columns`, `class_scores`) whatever format they came in, so that bins, hashes (`hashing`) and
stored texts only read them. `row_fields` reads what every row may have besides its features,
`categories` has the canonical text of a value, `texts` makes foreign text safe to store and show,
`addresses` has the paths of versions and reports.
"""
