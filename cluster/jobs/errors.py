"""What the job store raises.

JobStoreError
├── StoreUnavailable   the database does not answer, is locked, or its disk is full: try again
├── JobNotFound        no such job, or somebody else's
└── JobConflict        the id was used for another request, or the job is in a state that forbids it
"""


class JobStoreError(Exception):
    """Base of the store's errors."""

    def __init__(self, message: str, field: str | None = None) -> None:
        """Keep the message for people and the request's field that it is about."""
        super().__init__(message, field)
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return self.message


class StoreUnavailable(JobStoreError):
    """The database cannot be used at the moment; nothing was changed."""


class JobNotFound(JobStoreError):
    """There is no such job for this API key."""


class JobConflict(JobStoreError):
    """The request contradicts what the store holds."""
