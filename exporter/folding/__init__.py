"""Folds rows where they lie into counts that the exporter adds up: partial aggregates.

`reference_document` is what folding is told of a version, `fold` counts tables of Arrow in its bins, `part`
is the counts of a block of time as they travel, `bodies` makes requests of them and `sending` posts these.
`dataset` folds files in one process, `spark` the partitions of a data frame. `checks` refuses counts that no
rows can have. It needs numpy and pyarrow; `sending` needs httpx as well, and `spark` PySpark.
"""

from exporter.folding.fold import Folder
from exporter.folding.part import Part
from exporter.folding.reference_document import FoldingReference, read_reference

__all__ = ["Folder", "FoldingReference", "Part", "read_reference"]
