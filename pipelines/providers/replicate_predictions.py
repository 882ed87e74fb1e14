"""Replicate's predictions: started, waited for, and cancelled when nobody wants them any more."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiohttp

from pipelines.errors import InvalidInput, ProviderDenied, ProviderError, ProviderFailed
from pipelines.providers.http import ProviderHttp
from pipelines.providers.replicate_wire import ReplicateOptions

Pause: TypeAlias = Callable[[float], Awaitable[None]]

_MODEL = re.compile(r"(\w[\w.-]*/\w[\w.-]*)(?::([0-9a-zA-Z]+))?")
_RUNNING = ("starting", "processing")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _GROWTH = 0.5, 2.0, 1.5
_LOOKS = 3
"""How often looking after a prediction may fail, which may cost somebody money, before it is given up."""
_ROOM_S = 5
"""For the network, when Replicate waits with its answer."""
_WORTH_CANCELLING_S = 5
"""The shortest lifetime that Replicate takes."""


@dataclass(frozen=True)
class Prediction:
    """One piece of work, as Replicate last told of it."""

    status: str
    output: Any
    error: str
    get_url: str
    cancel_url: str
    stream_url: str

    @property
    def is_running(self) -> bool:
        """Whether its end is to be waited for."""
        return self.status in _RUNNING


class Predictions:
    """Starts predictions at one account."""

    def __init__(
        self, http: ProviderHttp, options: ReplicateOptions, first_byte_s: float, pause: Pause
    ) -> None:
        """Take the connections, and how to wait."""
        self._http = http
        self._limit_s = options.limit_s
        self._at_once = options.at_once
        self._pause = pause
        wait_s = max(1, min(options.wait_s, int(first_byte_s) - _ROOM_S))
        lifetime_s = max(_WORTH_CANCELLING_S, round(options.limit_s))
        self._headers = {"Prefer": f"wait={wait_s}", "Cancel-After": f"{lifetime_s}s"}
        self._leaving: set[asyncio.Task[None]] = set()

    async def output(self, model: str, inputs: dict[str, Any]) -> Any:
        """Give what a model makes of its inputs; whoever leaves before cancels it.

        Raises:
            InvalidInput: the model has no name of Replicate's.
            ProviderError: it did not work.
        """
        path, body = _start(model)
        starting = asyncio.ensure_future(self._start(path, {**body, "input": inputs}))
        ended: Prediction | None = None
        try:
            async with asyncio.timeout(self._limit_s):
                # Shielded, because only its answer names what is to be cancelled.
                ended = await self._end_of(await asyncio.shield(starting))
        except TimeoutError as error:
            raise self._http.failed(f"was not ready within {self._limit_s:g} s") from error
        finally:
            if ended is None:
                self._leave(starting)
        if ended.status != "succeeded":
            said = f": {ended.error}" if ended.error else ""
            raise self._http.failed(f"gave up its work ({ended.status}){said}")
        return ended.output

    async def outputs(self, model: str, batches: Sequence[dict[str, Any]]) -> list[Any]:
        """Give what a model makes of several inputs; if one fails, the others are cancelled."""
        places = asyncio.Semaphore(self._at_once)

        async def output(inputs: dict[str, Any]) -> Any:
            async with places:
                return await self.output(model, inputs)

        tasks = [asyncio.create_task(output(inputs)) for inputs in batches]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def upload(self, data: bytes, name: str, media_type: str) -> str:
        """Lay a file there and give its address for a model's input."""
        form = aiohttp.FormData()
        form.add_field("content", data, filename=name, content_type=media_type)
        answer = await self._http.post_form("/v1/files", form)
        try:
            return str(json.loads(answer)["urls"]["get"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._http.failed("does not say where an uploaded file lies") from error

    async def close(self) -> None:
        """Wait for what is being cancelled."""
        await asyncio.gather(*self._leaving)

    async def _start(self, path: str, body: dict[str, Any]) -> Prediction:
        return await self._read(await self._http.post(path, body, self._headers))

    async def _end_of(self, prediction: Prediction) -> Prediction:
        if prediction.is_running and prediction.stream_url:
            await self._listen(prediction.stream_url)
            prediction = await self._look(prediction)
        pause_s = _FIRST_PAUSE_S
        while prediction.is_running:
            await self._pause(pause_s)
            pause_s = min(pause_s * _GROWTH, _LONGEST_PAUSE_S)
            prediction = await self._look(prediction)
        return prediction

    async def _listen(self, url: str) -> None:
        """Return when the stream says that it is over, or is none: looking again tells more."""
        with suppress(ProviderError):
            async with aclosing(self._http.events(url, method="GET", is_foreign=True)) as events:
                async for event in events:
                    if event.name in ("done", "error"):
                        return

    async def _look(self, prediction: Prediction) -> Prediction:
        for look in range(1, _LOOKS + 1):
            try:
                return await self._read(await self._http.get(prediction.get_url))
            except ProviderDenied:
                raise
            except ProviderFailed as fault:
                if look == _LOOKS:
                    raise
                await self._pause(fault.retry_after_s or _LONGEST_PAUSE_S)
        raise AssertionError

    def _leave(self, starting: "asyncio.Future[Prediction]") -> None:
        task = asyncio.ensure_future(self._cancel(starting))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _cancel(self, starting: "asyncio.Future[Prediction]") -> None:
        with suppress(ProviderError):
            prediction = await starting
            if prediction.is_running and prediction.cancel_url:
                await self._http.post(prediction.cancel_url, {})

    async def _read(self, answer: bytes) -> Prediction:
        try:
            body = await asyncio.to_thread(json.loads, answer)  # files may stand in it
            urls = body.get("urls") or {}
            return Prediction(
                status=str(body["status"]),
                output=body.get("output"),
                error=str(body.get("error") or ""),
                get_url=str(urls.get("get") or f"/v1/predictions/{body['id']}"),
                cancel_url=str(urls.get("cancel") or f"/v1/predictions/{body['id']}/cancel"),
                stream_url=str(urls.get("stream") or ""),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._http.failed("answers with something else than a prediction") from error


def _start(model: str) -> tuple[str, dict[str, Any]]:
    """Give where a model is started, and what names its version there."""
    match = _MODEL.fullmatch(model)
    if match is None:
        raise InvalidInput(f"{model!r} is no model of Replicate's: they are OWNER/NAME[:VERSION].", "model")
    name, version = match.groups()
    if version:
        return "/v1/predictions", {"version": version}
    return f"/v1/models/{name}/predictions", {}
