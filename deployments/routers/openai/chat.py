"""/v1/chat/completions in OpenAI's wire format; AI Server has the same under a name of its own."""

from fastapi import APIRouter, Request, Response

from deployments.dependencies import CallDep
from deployments.forms import JSON_TYPE, read_json_object
from deployments.routers.chat import chat_stream, read_chat
from deployments.streaming import EVENT_STREAM, StreamedResponse

router = APIRouter(tags=["OpenAI"])


async def complete(request: Request, call: CallDep) -> Response:
    """Say what comes next in a conversation.

    What the model's provider says is passed on as it is, and so are fields that are not known here. Beside
    OpenAI's, `provider` names who alone may serve the request; `X-Served-By` in the answer says who did.
    """
    chat = await read_chat(await read_json_object(request), call, request)
    if chat.stream:
        events = await call.stream(chat.work)
        told = chat_stream(events, request.scope, include_usage=chat.include_usage)
        return StreamedResponse(told, EVENT_STREAM)
    served = await call.run(chat.work)
    return Response(served.result.completion, media_type=JSON_TYPE)


router.add_api_route("/v1/chat/completions", complete, methods=["POST"], summary="Chat")
router.add_api_route("/api/OpenAiChatCompletion", complete, methods=["POST"], include_in_schema=False)
