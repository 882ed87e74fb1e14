"""Jobs, their inputs, their webhooks, the times of runs, and the API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _make_jobs()
    _make_indexes()
    _make_others()


def _make_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("ref_id", sa.String(255), nullable=False),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("task", sa.String(64), nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("tag", sa.String(255)),
        sa.Column("client_state", sa.Text),
        sa.Column("reply_to", sa.Text),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("inputs", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("run_after", sa.Double),
        sa.Column("lease_until", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("duration_s", sa.Double),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_message", sa.Text),
        sa.Column("dead", sa.Boolean, nullable=False),
        sa.Column("history", sa.JSON, nullable=False),
        sa.Column("webhook_due", sa.Double),
        sa.Column("webhook_attempts", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )


def _make_indexes() -> None:
    op.create_index("jobs_by_ref_id", "jobs", ["owner", "ref_id"], unique=True)
    op.create_index("jobs_by_idempotency_key", "jobs", ["owner", "idempotency_key"], unique=True)
    op.create_index("jobs_by_owner", "jobs", ["owner", "id"])
    op.create_index("jobs_by_tag", "jobs", ["owner", "tag", "id"])
    _make_partial_index(
        "jobs_waiting", ["model", "priority", "owner", "id"], "state = 'Queued' AND run_after IS NULL"
    )
    _make_partial_index("jobs_delayed", ["run_after"], "state = 'Queued' AND run_after IS NOT NULL")
    _make_partial_index("jobs_running", ["lease_until"], "state = 'Started'")
    _make_partial_index("jobs_webhook", ["webhook_due"], "webhook_due IS NOT NULL")
    _make_partial_index("jobs_finished", ["finished_at"], "finished_at IS NOT NULL")


def _make_partial_index(name: str, columns: list[str], condition: str) -> None:
    op.create_index(
        name, "jobs", columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition)
    )


def _make_others() -> None:
    op.create_table(
        "job_inputs",
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("job_id", _ID, primary_key=True),
    )
    op.create_index("ix_job_inputs_job_id", "job_inputs", ["job_id"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("sent_at", sa.Double, nullable=False),
        sa.Column("duration_s", sa.Double, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text, nullable=False),
    )
    op.create_index("ix_webhook_deliveries_job_id", "webhook_deliveries", ["job_id"])
    op.create_table(
        "run_times",
        sa.Column("task", sa.String(64), primary_key=True),
        sa.Column("model", sa.String(255), primary_key=True),
        sa.Column("mean_s", sa.Double, nullable=False),
        sa.Column("runs", sa.Integer, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("webhook_secret", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
        sqlite_autoincrement=True,
    )
