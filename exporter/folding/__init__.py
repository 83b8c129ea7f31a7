"""Folds rows where they lie into counts that the exporter adds up: partial aggregates.

Rows become counts in the client: `sending` gets the version's bins from `GET .../reference`
(`reference_document`), `dataset` reads files, or `spark` the partitions of a data frame; `columns` chooses
their columns, and `fold` counts Arrow tables into parts, one for each block of time (`part`). `bodies`
divides the parts into requests, and `sending` posts them to `/v1/aggregates`. In the exporter,
`exporter.ingest.aggregates_body` reads a request, `checks` refuses counts that no rows can have, and
`exporter.ingest.aggregates` adds them to those of the version in the commit. The package needs numpy and
pyarrow; `sending` needs httpx as well, and `spark` PySpark.
"""

from exporter.folding.fold import Folder
from exporter.folding.part import Part
from exporter.folding.reference_document import FoldingReference, read_reference

__all__ = ["Folder", "FoldingReference", "Part", "read_reference"]
