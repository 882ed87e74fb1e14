"""Typed Ray handles: what another Python service of the cluster calls instead of HTTP.

    from deployments.handles import AiServer

    server = AiServer.connect()
    spoken = server.text_to_speech("Hello from the cluster.")
    wav = server.read(spoken.audio)
    heard = server.speech_to_text(wav)
    print(heard.text, heard.language)
    job_id = server.queue(TextToSpeechRequest(text="Later."), priority=-1)
    print(server.job(job_id, wait_s=30).state)

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
from cluster.jobs.job import Job, Submitted
from deployments.backends import RAY_ERRORS, unwrapped, value_of
from deployments.preferences import JobWish
from deployments.runs import RunInfo
from deployments.works import TASK_OF, result_of
from pipelines.tasks.base import MediaKey, TaskRequest, TaskResult
from pipelines.tasks.drawing import DrawResult
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_to_text import ImageToTextRequest, ImageToTextResult
from pipelines.tasks.image_upscale import ImageUpscaleRequest, ImageUpscaleResult
from pipelines.tasks.image_with_mask import ImageWithMaskRequest
from pipelines.tasks.speech_to_text import SpeechToTextRequest, SpeechToTextResult
from pipelines.tasks.text_to_image import TextToImageRequest
from pipelines.tasks.text_to_speech import TextToSpeechRequest, TextToSpeechResult
from pipelines.transforms.base import ImageResult
from pipelines.transforms.convert import ConvertImageRequest
from pipelines.transforms.convert_audio import ConvertAudioRequest
from pipelines.transforms.convert_video import ConvertVideoRequest
from pipelines.transforms.crop import CropImageRequest
from pipelines.transforms.crop_video import CropVideoRequest
from pipelines.transforms.extract_audio import ExtractAudioRequest
from pipelines.transforms.probe_media import ProbeMediaRequest, ProbeResult
from pipelines.transforms.scale import ScaleImageRequest
from pipelines.transforms.scale_video import ScaleVideoRequest
from pipelines.transforms.sound_base import SoundResult
from pipelines.transforms.thumbnail_video import ThumbnailVideoRequest
from pipelines.transforms.trim_video import TrimVideoRequest
from pipelines.transforms.video_base import VideoResult
from pipelines.transforms.watermark import WatermarkImageRequest
from pipelines.transforms.watermark_video import WatermarkVideoRequest

ResultT = TypeVar("ResultT", bound=TaskResult)


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
        result: ResultT = self._result("run", TASK_OF[type(request)], request, model, info)
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

    def text_to_image(self, prompt: str, *, model: str | None = None, **options: Any) -> DrawResult:
        """Draw what a text says. Options: the fields of `TextToImageRequest`."""
        return self.run(TextToImageRequest(prompt=prompt, **options), model)

    def image_to_image(
        self, image: bytes | Path, prompt: str, *, model: str | None = None, **options: Any
    ) -> DrawResult:
        """Redraw a picture. Options: the fields of `ImageToImageRequest`."""
        with self.uploaded(image) as (key,):
            return self.run(ImageToImageRequest(image=key, prompt=prompt, **options), model)

    def image_with_mask(
        self,
        image: bytes | Path,
        mask: bytes | Path,
        prompt: str,
        *,
        model: str | None = None,
        **options: Any,
    ) -> DrawResult:
        """Redraw a part of a picture. Options: the fields of `ImageWithMaskRequest`."""
        with self.uploaded(image, mask) as (key, mask_key):
            request = ImageWithMaskRequest(image=key, mask=mask_key, prompt=prompt, **options)
            return self.run(request, model)

    def image_upscale(
        self, image: bytes | Path, *, model: str | None = None, **options: Any
    ) -> ImageUpscaleResult:
        """Enlarge a picture. Options: the fields of `ImageUpscaleRequest`."""
        with self.uploaded(image) as (key,):
            return self.run(ImageUpscaleRequest(image=key, **options), model)

    def image_to_text(
        self, image: bytes | Path, *, model: str | None = None, **options: Any
    ) -> ImageToTextResult:
        """Say what is on a picture. Options: the fields of `ImageToTextRequest`."""
        with self.uploaded(image) as (key,):
            return self.run(ImageToTextRequest(image=key, **options), model)

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

    def watermark_video(self, video: bytes | Path, watermark: bytes | Path, **options: Any) -> VideoResult:
        """Put a picture onto a video. Options: the fields of `WatermarkVideoRequest`."""
        with self.uploaded(video, watermark) as (key, mark):
            return self.run(WatermarkVideoRequest(video=key, watermark=mark, **options))

    def scale_video(self, video: bytes | Path, **options: Any) -> VideoResult:
        """Scale a video. Options: the fields of `ScaleVideoRequest`."""
        with self.uploaded(video) as (key,):
            return self.run(ScaleVideoRequest(video=key, **options))

    def crop_video(self, video: bytes | Path, **options: Any) -> VideoResult:
        """Cut a rectangle out of a video. Options: the fields of `CropVideoRequest`."""
        with self.uploaded(video) as (key,):
            return self.run(CropVideoRequest(video=key, **options))

    def convert_video(self, video: bytes | Path, **options: Any) -> VideoResult:
        """Convert a video. Options: the fields of `ConvertVideoRequest`."""
        with self.uploaded(video) as (key,):
            return self.run(ConvertVideoRequest(video=key, **options))

    def trim_video(self, video: bytes | Path, **options: Any) -> VideoResult:
        """Take a part of a video. Options: the fields of `TrimVideoRequest`."""
        with self.uploaded(video) as (key,):
            return self.run(TrimVideoRequest(video=key, **options))

    def thumbnail_video(self, video: bytes | Path, **options: Any) -> ImageResult:
        """Take one frame of a video. Options: the fields of `ThumbnailVideoRequest`."""
        with self.uploaded(video) as (key,):
            return self.run(ThumbnailVideoRequest(video=key, **options))

    def extract_audio(self, video: bytes | Path, **options: Any) -> SoundResult:
        """Take the sound out of a video. Options: the fields of `ExtractAudioRequest`."""
        with self.uploaded(video) as (key,):
            return self.run(ExtractAudioRequest(video=key, **options))

    def convert_audio(self, audio: bytes | Path, **options: Any) -> SoundResult:
        """Convert sound. Options: the fields of `ConvertAudioRequest`."""
        with self.uploaded(audio) as (key,):
            return self.run(ConvertAudioRequest(audio=key, **options))

    def probe_media(self, media: bytes | Path, **options: Any) -> ProbeResult:
        """Tell what is in a file of sound or video. Options: the fields of `ProbeMediaRequest`."""
        with self.uploaded(media) as (key,):
            return self.run(ProbeMediaRequest(media=key, **options))

    def queue(self, request: TaskRequest[Any], model: str | None = None, **wishes: Any) -> int:
        """Queue any task and give the id of its job; files that the request names come from `upload`.

        Wishes: the fields of `deployments.preferences.JobWish`.
        """
        wish = JobWish(**wishes)
        submitted: Submitted = self._result(
            "queue", TASK_OF[type(request)], request, model, RunInfo(owner=ADMIN_ID), wish
        )
        return submitted.id

    def job(self, job_id: int, wait_s: float = 0.0) -> Job:
        """Look at a job; wait for its end first, but no longer than `wait_s`."""
        job: Job = self._result("job", job_id, wait_s)
        return job

    def result(self, job: Job) -> TaskResult | None:
        """Give the result of a completed job."""
        return None if job.result is None else result_of(job.task, job.result)

    def cancel(self, job_id: int) -> None:
        """End a job, and its run if it has begun."""
        self._result("cancel", job_id)

    def upload(self, file: bytes | Path) -> MediaKey:
        """Store a file for a job and give its key; it is deleted a day after the job's end."""
        with ExitStack() as kept:
            key = self._upload(file, kept)
            kept.pop_all()
        return key

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
