"""The versions of the schema, for Alembic: ``versions/NNNN_what.py``, the newest is `schema.REVISION`."""
