"""Folds the Parquet files of a directory with Spark in local mode; run by the interpreter that has it.

    python spark_fold.py REFERENCE ROWS OUT

REFERENCE is the answer of `GET .../reference`, OUT gets the JSON of the parts, one a line.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from exporter.folding.reference_document import read_reference
from exporter.folding.spark import fold_frame


def main() -> None:
    document, rows, out = map(Path, sys.argv[1:])
    os.environ["PYSPARK_PYTHON"] = sys.executable  # of the executors, too
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.driver.memory", "1g")
        # A short job is done before the compiler has gained anything.
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .getOrCreate()
    )
    try:
        reference = read_reference(document.read_bytes())
        parts = fold_frame(session.read.parquet(str(rows)), reference, hourly="hourly" in document.name)
        out.write_text("".join(json.dumps(part.to_json(reference)) + "\n" for part in parts))
    finally:
        session.stop()


if __name__ == "__main__":
    main()
