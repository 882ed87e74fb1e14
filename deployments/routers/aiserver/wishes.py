"""What the fields of a request say of its job, over what its headers say."""

from dataclasses import replace

from deployments.calls import Call
from deployments.preferences import JobWish
from deployments.routers.aiserver.wire import JobFields


async def wish_of(call: Call, fields: JobFields) -> JobWish:
    """Give what the client wants of the job.

    Raises:
        BadRequest: the server must not contact the address that `replyTo` gives.
    """
    if fields.reply_to is not None:
        await call.services.jobs.check_reply_to(fields.reply_to)
    return replace(call.wish, **fields.wishes)
