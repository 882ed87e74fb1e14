"""Image to text: a chat about one picture with a server that speaks OpenAI's wire format."""

import asyncio
from base64 import b64encode
from io import BytesIO
from typing import Any

from pipelines.images import Encoding, PictureFormat, open_image, write_still
from pipelines.providers.openai_wire import OpenAiApi
from pipelines.seeing.pictures import as_seen
from pipelines.seeing.wishes import Wish
from pipelines.tasks.base import Workspace
from pipelines.tasks.chat_shapes import usage_of
from pipelines.tasks.image_to_text import ImageToTextRequest, ImageToTextResult

_MAX_SIDE = 2_048
"""Pixels; OpenAI's models look at no more."""
_ENCODING = Encoding(PictureFormat.JPG, 90)
_PROMPTS = {
    Wish.CAPTION: "Describe this picture in one sentence.",
    Wish.DETAILED_CAPTION: "Describe this picture in detail.",
    Wish.MORE_DETAILED_CAPTION: "Describe this picture in a paragraph, with all details.",
    Wish.TEXT: "Write down the text in this picture, line by line, and nothing else.",
    Wish.TEXT_WITH_REGIONS: "Write down the text in this picture, line by line, and nothing else.",
    Wish.OBJECTS: "Name the things in this picture, separated by commas, and write nothing else.",
}
"""Florence-2's tokens in words."""


async def run(api: OpenAiApi, request: ImageToTextRequest, workspace: Workspace) -> ImageToTextResult:
    """Ask about the picture."""
    url = await asyncio.to_thread(_data_url, request, workspace)
    content = [
        {"type": "text", "text": _prompt(request.prompt)},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    body = {"model": request.model, "messages": [{"role": "user", "content": content}]}
    answer = await api.http.post("/chat/completions", body)
    return await api.read(answer, "a completion", _result)


def _prompt(prompt: str | None) -> str:
    prompt = (prompt or "").strip() or Wish.CAPTION
    return _PROMPTS.get(Wish(prompt.upper()), prompt) if prompt.upper() in list(Wish) else prompt


def _data_url(request: ImageToTextRequest, workspace: Workspace) -> str:
    with open_image(workspace.input(request.image), "image", workspace.limits.image_pixels) as picture:
        image = as_seen(picture, _MAX_SIDE)
    file = BytesIO()
    write_still(image, file, _ENCODING)
    return f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"


def _result(body: Any) -> ImageToTextResult:
    text = body["choices"][0]["message"]["content"].strip()
    return ImageToTextResult(text=text, tokens=usage_of(body.get("usage")))
