"""Makes an Arrow table of a Spark DataFrame: counted and sampled by Spark, so that little comes here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from exporter.errors import ReferenceInvalidError
from exporter.formats.texts import first_line, listed
from exporter.profiling.files import choose_rows
from exporter.training.frames import LoggedData, check_name, check_table, rows_taken, sample_note

MARGIN = 1.05  # Spark's samples are of about the size that is asked for
SPARE_ROWS = 1000
SEED = 0


def read_spark(frame: Any, own: Mapping[str, Any], max_rows: int) -> LoggedData:
    """The table of a Spark DataFrame, or a uniform sample of it; as `read_data`.

    Vectors of Spark ML become lists if they are the scores, and are left out otherwise.

    Raises:
        ReferenceInvalidError: Spark cannot make it, or what is given does not fit together.
    """
    named = {}
    for role, given in own.items():
        if given is not None and not isinstance(given, str):
            raise ReferenceInvalidError(
                f"the {role} of a Spark DataFrame has to be the name of a column: rows have no order there"
            )
        if given is not None:
            named[role] = check_name(role, given, frame.columns)
    try:
        frame, vectors = _without_vectors(frame, named.get("score", ""))
        rows = int(frame.count())
        wanted = rows_taken(rows, len(frame.columns), max_rows)
        table = _collect(frame, rows, wanted)
    except Exception as error:  # Spark's errors have many kinds, and a Java stack in their text
        raise ReferenceInvalidError(f"Spark cannot make the table: {first_line(error)}") from error
    check_table(table)
    notes = sample_note(min(wanted, table.num_rows), rows)
    if vectors:
        notes += (f"left out, for they are vectors of Spark ML: {listed(vectors)}",)
    return LoggedData(table, named, notes)


def _collect(frame: Any, rows: int, wanted: int) -> pa.Table:
    if wanted < rows:
        fraction = min(1.0, (wanted * MARGIN + SPARE_ROWS) / rows)
        frame = frame.sample(withReplacement=False, fraction=fraction, seed=SEED)
    # Spark 3 has no `toArrow`.
    table = frame.toArrow() if hasattr(frame, "toArrow") else pa.Table.from_pandas(frame.toPandas())
    if table.num_rows > wanted:
        table = table.take(pa.array(choose_rows(table.num_rows, wanted)))
    return table


def _without_vectors(frame: Any, score: str) -> tuple[Any, list[str]]:
    """The frame without vectors except for the scores, as lists; and the names of those left out."""
    vectors = [field.name for field in frame.schema.fields if field.dataType.typeName() == "vectorudt"]
    if score in vectors:
        from pyspark.ml.functions import vector_to_array

        frame = frame.withColumn(score, vector_to_array(score))
        vectors.remove(score)
    return frame.drop(*vectors), vectors
