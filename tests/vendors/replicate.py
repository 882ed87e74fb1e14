"""Replicate, as https://replicate.com/docs/reference/http documents it."""

import asyncio
import json
from io import BytesIO
from typing import Any
from urllib.request import urlopen

from aiohttp import web
from PIL import Image, ImageOps

from tests.vendors.openai_media import painting
from tests.vendors.server import Asked, Vendor, event_stream

_RATIOS = {"16:9": (1344, 768), "1:1": (1024, 1024), "3:2": (1216, 832), "9:16": (768, 1344)}
_ERRORS = {
    401: ("Unauthenticated", "You did not pass a valid authentication token"),
    402: ("Payment Required", "You have insufficient credit to run this model."),
    404: ("Not Found", "The requested resource could not be found."),
    429: ("Too Many Requests", "Request was throttled. Expected available in 1 second."),
    500: ("Internal Server Error", "An unexpected error occurred."),
}


class FileHost(Vendor):
    """Keeps what models made, for whoever knows the address: replicate.delivery."""

    async def answer(self, asked: Asked) -> Any:
        return web.Response(status=404)

    def error_body(self, status: int) -> bytes:
        return b""


class ReplicateVendor(Vendor):
    """Paints at once, or after it has been looked for `looks` times."""

    def __init__(self, host: FileHost) -> None:
        super().__init__()
        self.host = host
        self.looks = 0
        """How often the work is still going on when somebody looks."""
        self.outcome = "succeeded"
        self.error: str | None = None
        self.output: Any = None
        """Instead of what the model paints."""
        self.stream_url: str | None = None
        self.gate: asyncio.Event | None = None
        """No work begins before this is set."""
        self.reached = asyncio.Event()
        """Somebody wants work to begin."""
        self.cancelled: list[str] = []
        self.predictions: dict[str, dict[str, Any]] = {}
        self._left: dict[str, int] = {}

    async def answer(self, asked: Asked) -> Any:
        path = asked.path
        if path == "/v1/files":
            name = f"/files/{len(self.host.files)}.png"
            self.host.files[name] = asked.form["content"][0].data
            return _created({"id": "file-1", "urls": {"get": f"{self.host.url}{name}"}})
        if path.startswith("/stream/"):
            return event_stream({"type": "output", "data": "..."}, {"type": "done"}, ": bye\n\n", names=True)
        if asked.method == "POST" and path.endswith("/cancel"):
            return self._cancel(path.split("/")[-2])
        if asked.method == "POST":
            self.reached.set()
            if self.gate is not None:
                await self.gate.wait()
            return self._start(asked)
        return self._look(path.rpartition("/")[2])

    def error_body(self, status: int) -> bytes:
        title, detail = _ERRORS.get(status, _ERRORS[500])
        if status == 422:
            fault = {"type": "required", "field": "input.prompt", "description": "prompt is required"}
            detail = "- input: prompt is required\n"
            body = {"title": "Input validation failed", "detail": detail, "invalid_fields": [fault]}
            return json.dumps({**body, "status": 422}).encode()
        return json.dumps({"title": title, "detail": detail, "status": status}).encode()

    def _start(self, asked: Asked) -> web.Response:
        name = f"p{len(self.predictions)}"
        urls = {
            "get": f"{self.url}/v1/predictions/{name}",
            "cancel": f"{self.url}/v1/predictions/{name}/cancel",
            "web": f"https://replicate.com/p/{name}",
        }
        if self.stream_url:
            urls["stream"] = self.stream_url
        self.predictions[name] = {
            "id": name,
            "model": asked.path.removeprefix("/v1/models/").removesuffix("/predictions"),
            "version": asked.json.get("version", "hidden"),
            "input": asked.json["input"],
            "logs": "",
            "output": None,
            "data_removed": False,
            "error": None,
            "status": "starting",
            "created_at": "2026-11-25T04:33:07.556Z",
            "urls": urls,
        }
        self._left[name] = self.looks
        return _created(self._now(name))

    def _look(self, name: str) -> bytes:
        self._left[name] -= 1
        return json.dumps(self._now(name)).encode()

    def _now(self, name: str) -> dict[str, Any]:
        prediction = self.predictions[name]
        if prediction["status"] == "canceled":
            return prediction
        if self._left[name] > 0:
            prediction["status"] = "starting" if self._left[name] == self.looks else "processing"
            return prediction
        prediction |= {"status": self.outcome, "error": self.error, "metrics": {"predict_time": 1.5}}
        if self.outcome == "succeeded":
            prediction["output"] = self._paint(prediction["input"]) if self.output is None else self.output
        return prediction

    def _cancel(self, name: str) -> bytes:
        self.cancelled.append(name)
        self.predictions[name]["status"] = "canceled"
        return json.dumps(self.predictions[name]).encode()

    def _paint(self, inputs: dict[str, Any]) -> list[str]:
        size = _RATIOS.get(
            inputs.get("aspect_ratio", ""), (inputs.get("width", 1024), inputs.get("height", 1024))
        )
        urls = []
        for number in range(inputs.get("num_outputs", 1)):
            image = painting(size, number)
            if source := inputs.get("image"):
                image = self._redrawn(source, inputs)
            path = f"/out/{len(self.host.files)}.{inputs.get('output_format', 'png')}"
            file = BytesIO()
            image.save(file, {"jpg": "jpeg"}.get(path[-3:], "webp" if path.endswith("webp") else "png"))
            self.host.files[path] = file.getvalue()
            urls.append(f"{self.host.url}{path}")
        return urls

    def _redrawn(self, source: str, inputs: dict[str, Any]) -> Image.Image:
        image = self._opened(source)
        if factor := inputs.get("scale"):
            return image.resize((image.width * factor, image.height * factor))
        mirrored = ImageOps.mirror(image.convert("RGB"))
        if mask := inputs.get("mask"):
            return Image.composite(mirrored, image.convert("RGB"), self._opened(mask).convert("L"))
        return mirrored

    def _opened(self, url: str) -> Image.Image:
        if url.startswith("data:"):
            with urlopen(url) as file:
                data = file.read()
        else:
            data = self.host.files[url.removeprefix(self.host.url)]
        image = Image.open(BytesIO(data))
        image.load()
        return image


def _created(body: dict[str, Any]) -> web.Response:
    return web.json_response(body, status=201)
