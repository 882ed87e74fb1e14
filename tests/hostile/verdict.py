"""Whether an answer to a damaged file is one that may be given: a refusal in words, or a good result."""

import re
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any

import av
import httpx
from PIL import Image

from tests.hostile.cases import Case

Fetch = Callable[[str], bytes]
"""Reads what lies under the URL of a result."""

_INNARDS = re.compile(
    r"/\w|0x[0-9a-f]|@ |fd:|pipe:|ffmpeg|av_|avcodec|stream #|error -?\d|errno|traceback|object at|\[\w+",
    re.IGNORECASE,
)
_MAX_WORDS = 400
_TRIMMED_S = 0.3 + 0.25
"""What is asked, and by how much a damaged file may lie about its moments."""


class Unacceptable(AssertionError):
    """An answer that nobody may get."""


def check_answer(case: Case, answer: httpx.Response, fetch: Fetch) -> bool:
    """Tell whether the file was accepted.

    Raises:
        Unacceptable: it is neither a refusal in the API's wire format nor a good result.
    """
    try:
        if 400 <= answer.status_code < 500:
            _check_refusal(case, answer)
            return False
        assert answer.status_code == 200, answer.status_code
        _check_results(case, answer.json(), fetch)
    except (AssertionError, KeyError, ValueError, OSError, av.FFmpegError) as error:
        raise Unacceptable(f"{case}: {error!r}; {answer.status_code} {answer.text[:600]}") from error
    return True


def _check_refusal(case: Case, answer: httpx.Response) -> None:
    if case.ask.path.startswith("/v1/"):
        error = answer.json()["error"]
        message, field = error["message"], error["param"]
    else:
        status = answer.json()["responseStatus"]
        message, field = status["message"], status["errors"][0]["fieldName"]
    assert field, "no field"
    assert message, "no words"
    assert len(message) <= _MAX_WORDS, "too many words"
    assert not _INNARDS.search(message), f"innards: {_INNARDS.search(message)}"


def _check_results(case: Case, body: dict[str, Any], fetch: Fetch) -> None:
    match case.ask.path:
        case "/api/ProbeMedia":
            facts = body["result"]
            assert facts["video"] or facts["audio"]
            assert all(each["width"] > 0 and each["height"] > 0 for each in facts["video"])
        case "/api/SpeechToText" | "/api/ImageToText":
            assert isinstance(body["textOutputs"][0]["text"], str)
        case "/v1/audio/transcriptions":
            assert isinstance(body["text"], str)
        case "/v1/images/edits":
            assert body["data"][0]
        case _:
            (result,) = body["results"]
            _check_file(case, result, fetch(result["url"]))


def _check_file(case: Case, result: dict[str, Any], content: bytes) -> None:
    if case.ask.path.endswith(("Image", "ThumbnailVideo", "ImageUpscale")):
        with Image.open(BytesIO(content)) as image:
            image.load()
            assert image.size == (result["width"], result["height"]), image.size
        return
    with av.open(BytesIO(content)) as container:
        if "width" in result:
            _check_video(case, result, container)
        else:
            assert _frames(container, container.streams.audio[0]), "no sound"


def _check_video(case: Case, result: dict[str, Any], container: Any) -> None:
    frames = _frames(container, container.streams.video[0])
    assert frames, "no frames"
    size = (frames[0].width, frames[0].height)
    if frames[0].rotation % 180:
        size = size[::-1]
    assert size == (result["width"], result["height"]), size
    if case.ask.data.get("mode") == "exact":
        assert frames[-1].time - frames[0].time <= _TRIMMED_S, frames[-1].time


def _frames(container: Any, stream: Any) -> list[Any]:
    """Decode a stream, without the packets that were copied with the damage that they had."""
    frames = []
    for packet in container.demux(stream):
        with suppress(av.FFmpegError):
            frames += packet.decode()
    return frames
