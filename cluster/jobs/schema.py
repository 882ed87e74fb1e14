"""The tables, as SQLAlchemy sees them; `migrations` makes them, and a test compares the two."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

REVISION = "0002"
"""The newest version of the schema."""

metadata = MetaData()

# SQLite numbers rows by itself only in a column of exactly this type.
_Id = BigInteger().with_variant(Integer, "sqlite")

# Written out, because a partial index serves only a condition that the database can compare with its own.
WAITING = text("jobs.state = 'Queued' AND jobs.run_after IS NULL")
DELAYED = text("jobs.state = 'Queued' AND jobs.run_after IS NOT NULL")
RUNNING = text("jobs.state = 'Started'")
WEBHOOK_OWED = text("jobs.webhook_due IS NOT NULL")
FINISHED = text("jobs.finished_at IS NOT NULL")

jobs = Table(
    "jobs",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("ref_id", String(255), nullable=False),
    Column("idempotency_key", String(255)),
    Column("fingerprint", String(64), nullable=False),
    Column("task", String(64), nullable=False),
    Column("model", String(255), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("tag", String(255)),
    Column("client_state", Text),
    Column("reply_to", Text),
    Column("request", Text, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("run_after", Double),
    Column("lease_until", Double),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("duration_s", Double),
    Column("progress", Double, nullable=False),
    Column("step", Text, nullable=False),
    Column("result", Text),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("dead", Boolean, nullable=False),
    Column("history", JSON, nullable=False),
    Column("webhook_due", Double),
    Column("webhook_attempts", Integer, nullable=False),
    Column("error_field", String(255)),
    Index("jobs_by_ref_id", "owner", "ref_id", unique=True),
    Index("jobs_by_idempotency_key", "owner", "idempotency_key", unique=True),
    Index("jobs_by_owner", "owner", "id"),
    Index("jobs_by_tag", "owner", "tag", "id"),
    sqlite_autoincrement=True,  # the id of a deleted job never comes back
)
IN_LINE = (jobs.c.model, jobs.c.priority, jobs.c.owner, jobs.c.id)
"""The order of the index `jobs_waiting`: asked for where rows are only counted, it keeps PostgreSQL from
reading the whole table up to a limit."""
_PARTIAL = {
    # The order in which jobs are taken: see `cluster.jobs.turns`.
    "jobs_waiting": (("model", "priority", "owner", "id"), "state = 'Queued' AND run_after IS NULL"),
    "jobs_delayed": (("run_after",), "state = 'Queued' AND run_after IS NOT NULL"),
    "jobs_running": (("lease_until",), "state = 'Started'"),
    "jobs_webhook": (("webhook_due",), "webhook_due IS NOT NULL"),
    "jobs_finished": (("finished_at",), "finished_at IS NOT NULL"),
}
for _name, (_columns, _condition) in _PARTIAL.items():
    Index(
        _name,
        *(jobs.c[column] for column in _columns),
        sqlite_where=text(_condition),
        postgresql_where=text(_condition),
    )

inputs = Table(
    "job_inputs",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("job_id", _Id, primary_key=True, index=True),
)

deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("job_id", _Id, nullable=False, index=True),
    Column("message_id", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("sent_at", Double, nullable=False),
    Column("duration_s", Double, nullable=False),
    Column("status", Integer),
    Column("error", Text, nullable=False),
)

run_times = Table(
    "run_times",
    metadata,
    Column("task", String(64), primary_key=True),
    Column("model", String(255), primary_key=True),
    Column("mean_s", Double, nullable=False),
    Column("runs", Integer, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("webhook_secret", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
    Column("monthly_budget", Double),
    Column("models", JSON(none_as_null=True)),
    Column("providers", JSON(none_as_null=True)),
    sqlite_autoincrement=True,
)

usage_days = Table(
    "usage_days",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("owner", String(64), primary_key=True),
    Column("task", String(64), primary_key=True),
    Column("model", String(255), primary_key=True),
    Column("provider", String(64), primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("images", BigInteger, nullable=False),
    Column("audio_s", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("cost", Double, nullable=False),
    Index("usage_days_by_owner", "owner", "day"),
)
"""What each API key used on each day (UTC, ``YYYY-MM-DD``); costs are US dollars."""
