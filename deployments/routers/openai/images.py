"""/v1/images/generations, edits and variations: the tasks that draw, in OpenAI's wire format."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from deployments.calls import Call, Work
from deployments.dependencies import CallDep
from deployments.fields import field_names
from deployments.forms import Form, read_form
from deployments.middleware.access_log import note_call
from deployments.routers.openai.fields import given
from deployments.routers.openai.image_answers import ImageAnswers
from deployments.routers.openai.image_documentation import EDIT_ROUTE, GENERATION_ROUTE, VARIATION_ROUTE
from deployments.routers.openai.image_fields import (
    OPENAI_MODELS,
    WIRE_NAMES,
    EditFields,
    GenerationFields,
    ImageFields,
    VariationFields,
)
from deployments.routers.openai.routing import find_model, pinned
from deployments.streaming import EVENT_STREAM, StreamedResponse, server_sent_events
from deployments.works import TASK_OF
from pipelines.tasks.drawing import DrawRequest

router = APIRouter(prefix="/v1/images", tags=["OpenAI"])


@router.post("/generations", summary="Draw what a text says", openapi_extra=GENERATION_ROUTE)
async def generate(request: Request, call: CallDep) -> Response:
    """Draw pictures of what the prompt says.

    `size` may be any `WIDTHxHEIGHT` from 64 to 2048 pixels. Without `response_format` the answer has
    addresses, and for models that are called `gpt-image…` the pictures themselves as base64. The names of
    OpenAI's own models mean the server's default. `quality`, `style`, `moderation` and `user` are accepted
    and change nothing. With `stream` the pictures come as server-sent events, with up to 3 `partial_images`
    while they are drawn; of several (`n`) each has its own `image_generation.completed`.
    """

    def asked(form: Form) -> tuple[ImageFields, DrawRequest]:
        fields = GenerationFields.model_validate(given(form.fields))
        return fields, fields.request()

    return await _answer(request, call, "image_generation", asked)


@router.post("/edits", summary="Redraw a picture, or a part of it", openapi_extra=EDIT_ROUTE)
async def edit(request: Request, call: CallDep) -> Response:
    """Redraw a picture after the prompt; with a mask, only where the mask is transparent.

    One `image` is taken, more are refused. It keeps its size, whatever `size` says. Its own transparency is
    no mask. `denoise` says how much is redrawn: 0.8 if it is left out, with a mask 1.
    """

    def asked(form: Form) -> tuple[ImageFields, DrawRequest]:
        fields = EditFields.model_validate(given(form.fields))
        return fields, fields.request(form)

    return await _answer(request, call, "image_edit", asked)


@router.post("/variations", summary="Draw a picture again, a little otherwise", openapi_extra=VARIATION_ROUTE)
async def vary(request: Request, call: CallDep) -> Response:
    """Draw pictures that resemble the given one, at its size.

    `denoise` (0.6 if it is left out) says how little they do; a `prompt` may say what they show.
    As at OpenAI, variations do not stream.
    """

    def asked(form: Form) -> tuple[ImageFields, DrawRequest]:
        fields = VariationFields.model_validate(given(form.fields))
        return fields, fields.request(form)

    return await _answer(request, call, "image_edit", asked)


async def _answer(
    request: Request, call: Call, events: str, asked: Callable[[Form], tuple[ImageFields, DrawRequest]]
) -> Response:
    services = call.services
    async with AsyncExitStack() as uploads:
        form = await uploads.enter_async_context(read_form(request, services, call.owner))
        with field_names(WIRE_NAMES):
            fields, drawing = asked(form)
            task = TASK_OF[type(drawing)]
            route = find_model(services.gateway, task, fields.model, OPENAI_MODELS)
            note_call(request, task, route)
            work = Work(task, pinned(drawing, form), route, form, call.wish)
            answers = ImageAnswers(fields, services.artifacts, call.base_url)
            if fields.stream:
                told = answers.events(events, await call.stream(work))
                return StreamedResponse(
                    server_sent_events(told, request.scope), EVENT_STREAM, uploads.pop_all()
                )
            result = (await call.run(work)).result
    return JSONResponse(await answers.body(result))
