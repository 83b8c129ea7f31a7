"""The way of predictions and labels from the request into the store and the live counts.

Requests queue for one thread (`writer`), which commits them in groups (`commit`): alike ones become one batch
(`batching`), rows get their version, time and bins (`prepare`), repeated ones are told from new ones
(`deduplication`), labels meet their predictions (`join`, `pairs`, `join_counts`). Effects on memory are
collected in `changes` and applied after the database transaction. Jobs of the same thread give a version its
reference (`activation`), count outcomes again (`recount`) and delete old data (`retention`). `parquet` reads
Parquet bodies in a child process.
"""
