"""Usage by day, what an API key may do, and which field of the request a failed job is about."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add a table and some columns, all of which an older program can do without."""
    op.create_table(
        "usage_days",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("task", sa.String(64), primary_key=True),
        sa.Column("model", sa.String(255), primary_key=True),
        sa.Column("provider", sa.String(64), primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
        sa.Column("images", sa.BigInteger, nullable=False),
        sa.Column("audio_s", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("cost", sa.Double, nullable=False),
    )
    op.create_index("usage_days_by_owner", "usage_days", ["owner", "day"])
    op.add_column("api_keys", sa.Column("monthly_budget", sa.Double))
    op.add_column("api_keys", sa.Column("models", sa.JSON))
    op.add_column("api_keys", sa.Column("providers", sa.JSON))
    op.add_column("jobs", sa.Column("error_field", sa.String(255)))
