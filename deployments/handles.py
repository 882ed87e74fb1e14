"""Typed Ray handles: what another Python service of the cluster calls instead of HTTP.

    from deployments.handles import AiServer

    server = AiServer.connect()
    spoken = server.text_to_speech("Hello from the cluster.")
    wav = server.read(spoken.audio)
    heard = server.speech_to_text(wav)
    print(heard.text, heard.language)

The calls block; in an async deployment use ``await asyncio.to_thread(server.text_to_speech, …)``.
They have no time limit: give ``timeout_s`` where you need one. Errors are those of
`pipelines.errors` and `deployments.errors`.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from cluster.api_keys import ADMIN_ID
from deployments.backends import RAY_ERRORS, unwrapped, value_of
from deployments.runs import RunInfo
from pipelines.tasks import TASKS
from pipelines.tasks.base import MediaKey, Task, TaskRequest, TaskResult, Transform
from pipelines.tasks.speech_to_text import SpeechToTextRequest, SpeechToTextResult
from pipelines.tasks.text_to_speech import TextToSpeechRequest, TextToSpeechResult
from pipelines.transforms import TRANSFORMS
from pipelines.transforms.base import ImageResult
from pipelines.transforms.convert import ConvertImageRequest
from pipelines.transforms.crop import CropImageRequest
from pipelines.transforms.scale import ScaleImageRequest
from pipelines.transforms.watermark import WatermarkImageRequest

ResultT = TypeVar("ResultT", bound=TaskResult)

_WORKS: tuple[Task[Any, Any] | Transform[Any, Any], ...] = (*TASKS.values(), *TRANSFORMS.values())
_TASK_OF: dict[type[TaskRequest[Any]], str] = {work.request: work.name for work in _WORKS}


class AiServer:
    """A running AI Server, seen from a process of the same cluster."""

    def __init__(self, handle: DeploymentHandle[Any], timeout_s: float | None = None) -> None:
        """Take the application's ingress handle and the time limit of every call."""
        self._handle = handle
        self._timeout_s = timeout_s

    @classmethod
    def connect(cls, application: str = "ai-server", timeout_s: float | None = None) -> "AiServer":
        """Find the server in the cluster that this process belongs to; join the local one if it has none."""
        if not ray.is_initialized():
            ray.init(address="auto", logging_level=logging.WARNING)
        return cls(serve.get_app_handle(application), timeout_s)

    def run(self, request: TaskRequest[ResultT], model: str | None = None) -> ResultT:
        """Do any task: the class of the request says which, and which result comes back."""
        info = RunInfo(owner=ADMIN_ID)
        result: ResultT = self._result("run", _TASK_OF[type(request)], request, model, info)
        return result

    def text_to_speech(self, text: str, *, voice: str | None = None, **options: Any) -> TextToSpeechResult:
        """Speak a text. Options: the fields of `TextToSpeechRequest`."""
        return self.run(TextToSpeechRequest(text=text, **options), voice)

    def speech_to_text(
        self, audio: bytes | Path, *, model: str | None = None, **options: Any
    ) -> SpeechToTextResult:
        """Transcribe an audio file. Options: the fields of `SpeechToTextRequest`."""
        with self.uploaded(audio) as (key,):
            return self.run(SpeechToTextRequest(audio=key, **options), model)

    def scale_image(self, image: bytes | Path, **options: Any) -> ImageResult:
        """Scale a picture. Options: the fields of `ScaleImageRequest`."""
        with self.uploaded(image) as (key,):
            return self.run(ScaleImageRequest(image=key, **options))

    def crop_image(self, image: bytes | Path, **options: Any) -> ImageResult:
        """Cut a rectangle out of a picture. Options: the fields of `CropImageRequest`."""
        with self.uploaded(image) as (key,):
            return self.run(CropImageRequest(image=key, **options))

    def watermark_image(self, image: bytes | Path, watermark: bytes | Path, **options: Any) -> ImageResult:
        """Put a watermark onto a picture. Options: the fields of `WatermarkImageRequest`."""
        with self.uploaded(image, watermark) as (key, mark):
            return self.run(WatermarkImageRequest(image=key, watermark=mark, **options))

    def convert_image(self, image: bytes | Path, **options: Any) -> ImageResult:
        """Convert a picture. Options: the fields of `ConvertImageRequest`."""
        with self.uploaded(image) as (key,):
            return self.run(ConvertImageRequest(image=key, **options))

    def read(self, key: MediaKey) -> bytes:
        """Give the bytes of a result."""
        data: bytes = self._result("read", key)
        return data

    @contextmanager
    def uploaded(self, *files: bytes | Path) -> Iterator[tuple[MediaKey, ...]]:
        """Hold files in the artifact store for the block and give their keys."""
        with ExitStack() as cleanup:
            yield tuple(self._upload(file, cleanup) for file in files)

    def _upload(self, file: bytes | Path, cleanup: ExitStack) -> MediaKey:
        data, extension = (file, "bin") if isinstance(file, bytes) else (file.read_bytes(), file.suffix[1:])
        key: MediaKey = self._result("upload", data, extension or "bin", ADMIN_ID)
        cleanup.callback(self._result, "delete", key)
        return key

    def _result(self, method: str, *arguments: Any) -> Any:
        response = getattr(self._handle, method).remote(*arguments)
        try:
            answer = response.result(timeout_s=self._timeout_s)
        except TimeoutError:
            response.cancel()
            raise
        except RAY_ERRORS as error:
            raise unwrapped(error) from error
        return value_of(answer)
