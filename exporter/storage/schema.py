"""Tables of the store, and the values that go in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from exporter.aggregates.state import Totals
from exporter.typing import Floats, Ints

SCHEMA_VERSION = 9  # see migrations
FINE, COARSE = 0, 1  # families of aggregates
KEY_RETENTION_SECONDS = 86400.0  # of idempotency keys
RETENTION_KEY = "retention"  # in `meta`: the time that it has reached

_CHANGED = sa.text("changed IS NOT NULL")

metadata = sa.MetaData()
meta = sa.Table(
    "meta", metadata, sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.String)
)
versions = sa.Table(
    "versions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    # A model that was deleted and registered again has the same names, and nothing else in common.
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("status", sa.String, nullable=False, server_default=""),
    # Of several with the same names, the one with the highest number was followed last.
    sa.Column("followed", sa.Integer, nullable=False, server_default="0"),
    # As MLflow said last, for a start at which it does not answer; tags as JSON.
    sa.Column("run_id", sa.String, nullable=False, server_default=""),
    sa.Column("team", sa.String, nullable=False, server_default=""),
    sa.Column("tags", sa.String, nullable=False, server_default="{}"),
    # Of the configuration that the audit trail has last.
    sa.Column("config_digest", sa.String, nullable=False, server_default=""),
    sa.UniqueConstraint("model", "version", "created_ms"),
)
references = sa.Table(
    "reference_profiles",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version_id", sa.Integer, nullable=False, index=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
)
# Maturation by which the outcomes of a reference were counted; no row where they have to be counted anew.
reference_states = sa.Table(
    "reference_states",
    metadata,
    sa.Column("reference_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("maturation_seconds", sa.Float, nullable=False),
)
# State of a version's counts. All but the time of its last prediction is stored in partitions only.
version_states = sa.Table(
    "version_states",
    metadata,
    sa.Column("version_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("reference_id", sa.Integer),  # that its rows are counted for
    sa.Column("last_prediction", sa.Float),
    sa.Column("waiting_rows", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("unknown_columns", sa.String, nullable=False, server_default="[]"),  # JSON
    sa.Column("totals", sa.LargeBinary),
    sa.Column("changed", sa.BigInteger),
)
# `changed` is the number of the commit that wrote a row last, in partitions only. An empty payload marks a
# deleted row there, for readers of changes.
aggregates = sa.Table(
    "aggregates",
    metadata,
    sa.Column("reference_id", sa.Integer, primary_key=True),
    sa.Column("family", sa.SmallInteger, primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("segment", sa.String, primary_key=True, server_default=""),  # empty: of all rows
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("changed", sa.BigInteger),
    sa.Index("aggregates_by_change", "changed", sqlite_where=_CHANGED, postgresql_where=_CHANGED),
    sqlite_with_rowid=False,
)
outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("reference_id", sa.Integer, primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("segment", sa.String, primary_key=True, server_default=""),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("changed", sa.BigInteger),
    sa.Index("outcomes_by_change", "changed", sqlite_where=_CHANGED, postgresql_where=_CHANGED),
    sqlite_with_rowid=False,
)
# Last batch of counts from each source that sends them in numbered batches.
aggregate_sources = sa.Table(
    "aggregate_sources",
    metadata,
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary(16), nullable=False),
    sa.Column("at", sa.Float, nullable=False, index=True),
)
# Versions of monitored models that rows were for and that are not monitored; `absent` are those that MLflow
# did not have when it was asked after `at`.
wanted_versions = sa.Table(
    "wanted_versions",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("absent", sa.Boolean, nullable=False, server_default=sa.false()),
)
# Roles that one process has at a time, until a time of the database's clock.
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    sa.Column("transitions", sa.Integer, nullable=False),
)
models = sa.Table(
    "models",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
)
aliases = sa.Table(
    "alias_history",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("alias", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),  # empty: the alias was removed
    sa.Column("since", sa.Float, nullable=False),
)
# Arrivals by hour, see `exporter.aggregates.activity`; of version 0: when the exporter itself ran.
activity = sa.Table(
    "activity",
    metadata,
    sa.Column("version_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("predictions", sa.BigInteger, nullable=False),
    sa.Column("stretches", sa.Integer, nullable=False),
    sa.Column("last_prediction", sa.Float),
    sa.Column("labels", sa.BigInteger, nullable=False),
    sa.Column("last_label", sa.Float),
    sa.Column("label_delay_seconds", sa.Float, nullable=False),
    sa.Column("coverage", sa.Float),
    sa.Index("activity_by_start", "start"),
    sqlite_with_rowid=False,
)
batches = sa.Table(
    "batches",
    metadata,
    sa.Column("key", sa.LargeBinary(16), primary_key=True),
    sa.Column("body", sa.LargeBinary(16), nullable=False),
    sa.Column("at", sa.Float, nullable=False, index=True),
)
spool = sa.Table(
    "spool",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version_id", sa.Integer, nullable=False, index=True),
    sa.Column("content_type", sa.String, nullable=False),
    sa.Column("query", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("row_numbers", sa.LargeBinary, nullable=False),
    sa.Column("times", sa.LargeBinary, nullable=False),
)
sstables = sa.Table(
    "sstables",
    metadata,
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("pages", sa.Integer, nullable=False),
    sa.Column("bloom", sa.LargeBinary, nullable=False),
)
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# The chain of the audit trail, see `exporter.audit`. What is outside of `body` is there to be searched.
audit_records = sa.Table(
    "audit_records",
    metadata,
    sa.Column("seq", _SEQUENCE, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("action_id", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("model_version", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary),  # NULL once it was erased
    sa.Column("body_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Index("audit_records_by_model", "model", "seq"),
    sa.Index("audit_records_by_kind", "kind", "seq"),
    sa.Index("audit_records_by_action", "action_id", "seq"),
)
verdict_states = sa.Table(
    "verdict_states",
    metadata,
    sa.Column("version_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("verdicts", sa.String, nullable=False),  # bad ones, as the audit trail has them; JSON
)
# One row, the end of the chain: appenders lock it.
audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
)
# Headers of records that were pruned.
audit_segments = sa.Table(
    "audit_segments",
    metadata,
    sa.Column("first_seq", _SEQUENCE, primary_key=True, autoincrement=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("previous_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("last_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("first_at", sa.Float, nullable=False),
    sa.Column("last_at", sa.Float, nullable=False),
    sa.Column("pruned_at", sa.Float, nullable=False),
)
audit_checkpoints = sa.Table(
    "audit_checkpoints",
    metadata,
    sa.Column("seq", _SEQUENCE, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("note", sa.String, nullable=False),
)
alert_deliveries = sa.Table(
    "alert_deliveries",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("receiver", sa.String, nullable=False),
    sa.Column("group_key", sa.String, nullable=False),
    sa.Column("alerts", sa.Integer, nullable=False),  # that came, of which the first are stored
    sa.Column("truncated", sa.Integer, nullable=False),  # by Alertmanager
)
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("delivery_id", sa.Integer, nullable=False, index=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("alertname", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("model_version", sa.String, nullable=False),
    sa.Column("labels", sa.String, nullable=False),  # JSON
    sa.Column("annotations", sa.String, nullable=False),  # JSON
    sa.Column("starts_at", sa.Float),
    sa.Column("ends_at", sa.Float),
    sa.Column("fingerprint", sa.String, nullable=False),
)
remediations = sa.Table(
    "remediations",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("policy", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False, index=True),
    sa.Column("alias", sa.String, nullable=False),
    sa.Column("model_version", sa.String, nullable=False),  # that the alert is about
    sa.Column("target_version", sa.String, nullable=False),  # that the alias is to point to; empty: none
    sa.Column("tenure", sa.Integer, nullable=False),
    sa.Column("mode", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("guard", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("lease_owner", sa.String, nullable=False),
    sa.Column("lease_until", sa.Float),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False, index=True),
    sa.Column("executed_at", sa.Float),  # when it took effect
    sa.Column("approved_by", sa.String, nullable=False),
    sa.Column("alert", sa.String, nullable=False),  # labels and annotations as JSON
    sa.Column("data", sa.String, nullable=False),  # of the action's kind, as JSON
)
remediation_holds = sa.Table(
    "remediation_holds",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("alias", sa.String, nullable=False),  # empty: of every alias
    sa.Column("policy", sa.String, nullable=False),  # empty: of every policy
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("lifted_at", sa.Float),
    sa.Column("lifted_by", sa.String, nullable=False, server_default=""),
)

# Uniform sample of the live rows, see `exporter.sampling`: in each block those with the lowest priorities.
sampled_rows = sa.Table(
    "sampled_rows",
    metadata,
    sa.Column("id", _SEQUENCE, primary_key=True),
    sa.Column("version_id", sa.Integer, nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),  # of the block
    sa.Column("priority", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("id_hash", sa.LargeBinary(16)),  # by which its label is found; NULL of a row without an id
    sa.Column("label", sa.String),  # that came with a row without an id
    sa.Column("size", sa.Integer, nullable=False),  # bytes of `content`
    sa.Column("content", sa.LargeBinary, nullable=False),  # JSON; empty in the mark of a block's threshold
    sa.Index("sampled_rows_by_block", "version_id", "start", "priority", "size"),
)
reference_rows = sa.Table(
    "reference_rows",
    metadata,
    sa.Column("reference_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("content", sa.LargeBinary, nullable=False),  # Parquet
)
importances = sa.Table(
    "importances",
    metadata,
    sa.Column("version_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String, primary_key=True),  # of the reference
    sa.Column("source", sa.String, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("shares", sa.String, nullable=False),  # by column, JSON
    sa.Column("problem", sa.String, nullable=False),  # empty unless they could not be computed
)
reports = sa.Table(
    "reports",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("version_id", sa.Integer, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("model_version", sa.String, nullable=False),
    sa.Column("window", sa.String, nullable=False),  # its length, such as 24h
    sa.Column("start", sa.Float, nullable=False),
    sa.Column("end", sa.Float, nullable=False),
    sa.Column("trigger", sa.String, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("action_id", sa.String, nullable=False),
    sa.Column("verdicts", sa.String, nullable=False),  # bad ones when it was asked for, JSON
    sa.Column("created_at", sa.Float, nullable=False, index=True),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("finished_at", sa.Float),
    sa.Column("problem", sa.String, nullable=False),
    sa.Column("notes", sa.String, nullable=False),  # JSON
    sa.Column("reference_digest", sa.String, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),  # of the sample
    sa.Column("counted", sa.BigInteger, nullable=False),  # rows of the window, of which they are a sample
    sa.Column("values", sa.String, nullable=False),  # JSON
    sa.Column("mlflow_state", sa.String, nullable=False, index=True),
    sa.Column("mlflow_run_id", sa.String, nullable=False),
    sa.Column("evidently_state", sa.String, nullable=False, index=True),
    sa.Column("evidently_run_id", sa.String, nullable=False, server_default=""),
    sa.Column("send_attempts", sa.Integer, nullable=False),
    sa.Column("send_after", sa.Float),  # when sending is tried again
    sa.Column("send_problem", sa.String, nullable=False, server_default=""),  # why it is not sent yet
    sa.Index("reports_by_version", "version_id", "created_at"),
)
report_files = sa.Table(
    "report_files",
    metadata,
    sa.Column("report_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String, primary_key=True),  # html, json or snapshot
    sa.Column("content", sa.LargeBinary, nullable=False),  # gzip
)


@lru_cache
def upsert(table: sa.Table, columns: str | tuple[str, ...], dialect: str) -> Any:
    """Insert rows, or set `columns` of those whose primary key is there."""
    names = (columns,) if isinstance(columns, str) else columns
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key), set_={name: statement.excluded[name] for name in names}
    )


@dataclass(frozen=True)
class RawRows:
    """Rows of a request as it came: its body, the numbers of the rows in it, and their times."""

    content_type: str
    query: dict[str, str]
    body: bytes
    row_numbers: Ints
    times: Floats


@dataclass(frozen=True)
class AliasMove:
    """A move of an alias: from `since` on it points to `version`, empty where it was removed."""

    model: str
    alias: str
    version: str
    since: float


@dataclass(frozen=True)
class StoredVersion:
    """A version in the store.

    `status` is as `set_status` left it, empty before. `waiting_rows` wait for its reference. `run_id`, `team`
    and `tags` are what the registry said last, `config_digest` is the last one in the audit trail.
    `maturation_seconds` is that by which its outcomes were counted, None where they have to be counted anew.
    `unknown_columns` and `totals` are stored in partitions only.
    """

    key: int
    model: str
    version: str
    created_ms: int
    last_prediction: float | None
    status: str
    waiting_rows: int
    run_id: str = ""
    team: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    config_digest: str = ""
    maturation_seconds: float | None = None
    unknown_columns: frozenset[str] = frozenset()
    totals: Totals | None = None
