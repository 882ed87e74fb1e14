"""What Alembic runs: the versions, on the connection that `cluster.jobs.upgrade` opened."""

from alembic import context

from cluster.jobs.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
