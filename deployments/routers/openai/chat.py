"""/v1/chat/completions in OpenAI's wire format; AI Server has the same under a name of its own."""

from fastapi import APIRouter, Request, Response

from deployments.dependencies import CallDep
from deployments.forms import read_json_object
from deployments.routers.chat import answer_chat, read_chat
from deployments.routers.chat_documentation import CHAT_ANSWERS, CHAT_BODY

router = APIRouter(tags=["OpenAI"])


async def complete(request: Request, call: CallDep) -> Response:
    """Say what comes next in a conversation.

    What the model's provider says is passed on as it is, and so are fields that are not known here. Beside
    OpenAI's, `provider` names who alone may serve the request; `X-Served-By` in the answer says who did.
    """
    chat = await read_chat(await read_json_object(request), call, request)
    return await answer_chat(chat, call, request)


for _path, _name in (("/v1/chat/completions", "chat"), ("/api/OpenAiChatCompletion", "OpenAiChatCompletion")):
    router.add_api_route(
        _path,
        complete,
        methods=["POST"],
        operation_id=_name,
        summary="Chat",
        openapi_extra=CHAT_BODY,
        responses=CHAT_ANSWERS,
    )
