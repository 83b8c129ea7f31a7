"""Sends files of predictions or labels to a running exporter, batch by batch, for `mlflow-exporter push`.

`sources` finds files, here or in an object store. `reading` reads them row group by row group, block by block
or line by line (`csv_rows`, `json_lines`), so that memory is bounded whatever their size. `assignment` says
which column is what, `batches` makes request bodies, `sending` posts several at once and tries again, and
`outcome` counts what became of each row. `refusals` finds the rows for which a request was refused, so that
they alone are left out. `dry_run` answers in place of the exporter, by the exporter's own decoders.
"""
