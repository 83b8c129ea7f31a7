"""Read damaged bodies of requests and files of references: whatever is neither read nor refused is a bug.

Parquet and references may end a child process, never this one. Run in a process of its own, which a fault of
compiled code that reads Arrow or JSON would end:

    python -X faulthandler -W error -m tests.fuzz_bodies --seed 777123 --seconds 60
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections.abc import Iterator
from datetime import date
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.csv

from exporter.errors import ReferenceInvalidError, RequestError
from exporter.formats.hashing import payload_hashes
from exporter.formats.labels import decode_labels
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE, RawRequest
from exporter.ingest.parquet import parquet_to_arrow
from exporter.payloads.columns import OWN_FIELDS
from exporter.profiling.data import ReferenceFile
from exporter.profiling.isolated import profile
from exporter.reference.bins import Column, ColumnKind
from exporter.reference.profile import Reference
from exporter.sampling.content import MAX_ROW_BYTES, Treatment, encode_row
from exporter.settings import Settings
from tests.support.damaged_aggregates import AGGREGATES, Recipients, damage_counts, nudge
from tests.support.wire import QUERY, Predictions, bin_decoded, decode, encode, to_parquet, to_stream

ROWS = 20
SETTINGS = Settings()
CSV_TYPE = "text/csv"  # of references alone
SUFFIXES = {PARQUET_TYPE: ".parquet", CSV_TYPE: ".csv", JSON_TYPE: ".json"}
Body = tuple[str, bytes]  # content type, and what it is of
MAX_ADDRESS_SPACE = 4 * 2**30  # what a body of some kilobytes makes of itself must fit by far


def make_table() -> pa.Table:
    """A column of every kind."""
    words = pa.array(["a", "bb" * 20, None, "c"] * (ROWS // 4))
    return pa.table(
        {
            "number": pa.array([k / 7 if k % 3 else None for k in range(ROWS)]),
            "small": pa.array(range(ROWS), pa.int8()),
            "large": pa.array([2**64 - 1 - k for k in range(ROWS)], pa.uint64()),
            "text": words,
            "large text": words.cast(pa.large_string()),
            "view": words.cast(pa.string_view()),
            "dictionary": words.dictionary_encode(),
            "switch": pa.array([True, False, None, True] * (ROWS // 4)),
            "time": pa.array([10**15 * k for k in range(ROWS)], pa.timestamp("ns", "UTC")),
            "date": pa.array([date(2026, 1, 1 + k) for k in range(ROWS)]),
            "list": pa.array([[1] * (k % 3) for k in range(ROWS)]),
            "texts": pa.array([["x"] * (k % 3) for k in range(ROWS)]),
            "structure": pa.array([{"a": 1, "b": "x"} for _ in range(ROWS)]),
            "map": pa.array([[("k", 1)]] * ROWS, pa.map_(pa.string(), pa.int8())),
            "binary": pa.array([b"ab"] * ROWS),
            "fixed": pa.array([b"ab"] * ROWS, pa.binary(2)),
            "decimal": pa.array(range(ROWS)).cast(pa.decimal128(30, 2)),
            "null": pa.nulls(ROWS),
            "runs": pa.RunEndEncodedArray.from_arrays([ROWS // 2, ROWS], ["a", "b"]),
            "list view": pa.array([[1]] * ROWS, pa.list_view(pa.int8())),
            "id": pa.array([str(k) for k in range(ROWS)]),
            "timestamp": pa.array(["2026-01-01"] * ROWS),
            "prediction": pa.array([0, 1] * (ROWS // 2)),
            "score": pa.array(np.linspace(0, 1, ROWS)),
        }
    )


def make_reference() -> Reference:
    """Every column as something that it is, or is not."""
    kinds: list[ColumnKind] = ["number", "category", "boolean", "time"]
    names = [name for name in make_table().column_names if name not in OWN_FIELDS]
    columns = [
        Column(name, "feature", kinds[k % 4], edges=np.arange(5.0), categories=("0", "1"), low=0.0, high=1.0)
        for k, name in enumerate(names)
    ]
    columns.append(Column("prediction", "prediction", "category", categories=("0", "1")))
    return Reference(tuple(columns), np.zeros(0, np.int64), np.zeros((len(columns), 3)), 0, "", "fuzz")


def make_bodies() -> list[Body]:
    """Predictions as tables."""
    table = make_table()
    flat = table.drop_columns(["runs", "list view"])  # which Parquet cannot hold
    structure = table.select(["number", "text"]).to_struct_array()
    nested = pa.table({"features": structure, "prediction": table["prediction"]})
    return [
        (ARROW_TYPE, to_stream(table)),
        (ARROW_TYPE, to_stream(pa.concat_tables([table, table.slice(3)]))),
        (ARROW_TYPE, to_stream(nested)),
        (PARQUET_TYPE, to_parquet(flat)),
        (PARQUET_TYPE, to_parquet(flat, compression="zstd", use_dictionary=False)),
        (PARQUET_TYPE, to_parquet(flat, compression="none", data_page_version="2.0")),
        (PARQUET_TYPE, to_parquet(flat, row_group_size=7, write_page_index=True)),
        (PARQUET_TYPE, to_parquet(nested, compression="none")),
    ]


def make_other_bodies() -> list[Body]:
    """Labels, JSON, extension types, dictionaries that grow, and references."""
    table = make_table()
    labels = pa.table({"id": table["id"], "label": table["small"], "timestamp": table["time"]})
    extensions = pa.table(
        {
            "tensor": pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.int8(), [2]), pa.array([[1, 2]] * ROWS, pa.list_(pa.int8(), 2))
            ),
            "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"u" * 16] * ROWS, pa.binary(16))),
            "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1] * ROWS, pa.int8())),
            "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a": [1]}'] * ROWS)),
            "prediction": table["prediction"],
        }
    )
    plain = table.select(["number", "small", "text", "switch", "timestamp", "prediction", "score"])
    columns = plain.to_pydict() | {"no text": ["\ud800", "\0"] * (ROWS // 2)}
    own = {name: columns.pop(name) for name in ("timestamp", "score")}
    predictions = Predictions(columns, columns.pop("prediction"), own)
    sheet = BytesIO()
    pyarrow.csv.write_csv(plain, sheet)
    return [
        (ARROW_TYPE, to_stream(labels)),
        (PARQUET_TYPE, to_parquet(labels)),
        (JSON_TYPE, json.dumps({"model": "m", "labels": labels.to_pylist()}, default=str).encode()),
        (ARROW_TYPE, to_stream(extensions)),
        (PARQUET_TYPE, to_parquet(extensions)),
        (ARROW_TYPE, make_growing_stream()),
        *(
            (JSON_TYPE, encode(form, predictions))
            for form in ("rows", "columns", "split", "records", "inputs")
        ),
        (JSON_TYPE, json.dumps(plain.to_pydict()).encode()),
        (JSON_TYPE, json.dumps(plain.to_pylist()).encode()),
        (CSV_TYPE, sheet.getvalue()),
    ]


def make_growing_stream() -> bytes:
    """An Arrow stream whose dictionary grows from batch to batch."""
    sink, words = BytesIO(), ["a", "b", "c", "d"]
    schema = pa.schema([("x", pa.dictionary(pa.int8(), pa.string())), ("prediction", pa.int8())])
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)) as out:
        for end in range(1, 1 + len(words)):
            entries = pa.DictionaryArray.from_arrays(pa.array([end - 1] * ROWS, pa.int8()), words[:end])
            out.write_batch(pa.record_batch([entries, pa.array([1] * ROWS, pa.int8())], schema=schema))
    return sink.getvalue()


def damage(body: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, cut out or put in; half of the time where the metadata is."""
    damaged = bytearray(body)
    start = draw.choice([0, 0, max(0, len(body) - 4000)])
    place = draw.randrange(start, len(body))
    how = draw.random()
    if how < 0.1:
        return bytes(damaged[:place])
    if how < 0.2:
        damaged[place : place + draw.randrange(50)] = draw.randbytes(draw.randrange(50))
        return bytes(damaged)
    for _ in range(draw.choice([1, 1, 2, 5, 20])):
        place = draw.randrange(start, len(body))
        flipped = damaged[place] ^ 1 << draw.randrange(8)
        damaged[place] = draw.choice([0, 127, 128, 255, draw.randrange(256), flipped])
    return bytes(damaged)


def damaged_bodies(bodies: list[Body], seed: int) -> Iterator[Body]:
    draw = random.Random(seed)
    while True:
        content_type, body = draw.choice(bodies)
        if content_type == AGGREGATES and draw.random() < 0.8:
            how = draw.choice([damage, nudge])
            yield content_type, damage_counts(body, draw, lambda data, how=how: how(data, draw))
        else:
            yield content_type, damage(body, draw)


def _take(recipients: Recipients, body: bytes) -> int:
    try:
        recipients.take(body)
    except RequestError as error:
        check(error)
        return 0
    return 1


def read(
    content_type: str, body: bytes, reference: Reference, recipients: Recipients, directory: Path
) -> int:
    """Read a body as predictions, labels and a reference, or as aggregates; returns how many of them it was
    accepted as.

    Other errors than refusals are not caught.
    """
    good = 0
    if content_type == AGGREGATES:
        return _take(recipients, body)
    try:
        if content_type != CSV_TYPE:
            query = {} if content_type == JSON_TYPE else QUERY
            batch = decode(body, SETTINGS, content_type, **query)
            bin_decoded(reference, batch, np.full(batch.rows, 1.8e9))
            payload_hashes(batch)
            names = [*batch.features]
            for row in {0, batch.rows - 1}:
                assert len(encode_row(batch, row, Treatment(names, names[::2], b"key"))) <= MAX_ROW_BYTES
            good += 1
    except RequestError as error:
        check(error)
    try:
        if content_type != CSV_TYPE:
            query = {} if content_type == JSON_TYPE else {"model": QUERY["model"]}
            raw = RawRequest(content_type, query, body)
            raw = parquet_to_arrow(raw, SETTINGS) if content_type == PARQUET_TYPE else raw
            decode_labels(raw.body, raw.content_type, query, SETTINGS)
            good += 1
    except RequestError as error:
        check(error)
    if content_type in SUFFIXES:
        file = (directory / "reference").with_suffix(SUFFIXES[content_type])
        file.write_bytes(body)
        try:
            profile(ReferenceFile(file, "fuzz"), SETTINGS)
            good += 1
        except ReferenceInvalidError as error:
            check(error)
    return good


def check(refusal: Exception) -> None:
    """Errors in a child that its functions do not expect are bugs."""
    assert "internal error" not in str(refusal), refusal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--bodies", type=int, default=10**9, help="when to stop")
    parser.add_argument("--seconds", type=float, default=10.0**9, help="when to stop")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    reference, bodies, others = make_reference(), make_bodies(), make_other_bodies()
    recipients = Recipients()
    others += [(AGGREGATES, body) for body in recipients.bodies] * 4
    count = 0
    with TemporaryDirectory(prefix="mlflow-exporter-fuzz-") as directory:
        for content_type, body in bodies + others:
            assert read(content_type, body, reference, recipients, Path(directory)), f"refused: {body[:80]!r}"
        end = time.monotonic() + options.seconds
        damaged = zip(damaged_bodies(bodies, options.seed), damaged_bodies(others, options.seed), strict=True)
        for pair in damaged:
            if count >= options.bodies or time.monotonic() > end:
                break
            for content_type, body in pair:
                read(content_type, body, reference, recipients, Path(directory))
                count += 1
    print(f"{count} bodies read or refused")


if __name__ == "__main__":
    main()
