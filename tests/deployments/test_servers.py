"""The replicas' classes without Ray: a model that loads, one that cannot, and the transforms."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from cluster.artifacts.local import LocalArtifactStore
from cluster.artifacts.store import Area
from configs.schema import FolderSource, LimitsConfig, ModelConfig, ServerConfig
from configs.settings import Settings
from deployments.model_server import ModelServer
from deployments.runs import RunInfo
from deployments.transform_server import TransformServer
from pipelines.errors import InputTooLarge, ModelLoadError
from pipelines.hibari import HibariPipeline
from pipelines.tasks.text_to_speech import TextToSpeechRequest, TextToSpeechResult
from pipelines.transforms.base import ImageResult
from pipelines.transforms.probe_media import ProbeMediaRequest
from pipelines.transforms.scale import ScaleImageRequest

INFO = RunInfo(owner="0")
HELLO = TextToSpeechRequest(text="Hello.")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environment({"AI_SERVER_DATA": str(tmp_path)})


def model(pipeline: str, *sources: FolderSource) -> ModelConfig:
    return ModelConfig(id="voice", tasks=("text-to-speech",), pipeline=pipeline, source=sources)


async def test_a_loaded_model_does_its_task(settings: Settings) -> None:
    server = ModelServer(model("pipelines.hibari:HibariPipeline"), ServerConfig(), settings)
    assert await server.fault() is None
    result = await server.run("text-to-speech", HELLO, INFO)
    assert isinstance(result, TextToSpeechResult)
    assert LocalArtifactStore(settings.artifacts_dir).local_path(result.audio).read_bytes()[:4] == b"RIFF"
    pieces = [event async for event in server.stream("text-to-speech", HELLO, INFO)]
    assert all(isinstance(piece, bytes) for piece in pieces)


async def test_a_model_without_weights_answers_with_the_remedy(settings: Settings) -> None:
    source = FolderSource(folder="voices/absent.onnx")
    server = ModelServer(model("pipelines.piper:PiperPipeline", source), ServerConfig(), settings)
    fault = await server.fault()
    assert fault is not None
    assert fault.startswith("voice: no weights for voice. Looked in: folder ")
    assert isinstance(await server.run("text-to-speech", HELLO, INFO), ModelLoadError)
    [event] = [event async for event in server.stream("text-to-speech", HELLO, INFO)]
    assert isinstance(event, ModelLoadError)


class RunsOutOfMemory(HibariPipeline):
    """Fails while it loads, and not in a way that anybody foresaw."""

    def __init__(self, *_: object) -> None:
        raise RuntimeError("out of memory")


async def test_whatever_fails_while_a_model_loads_is_its_fault_alone(settings: Settings) -> None:
    server = ModelServer(model(f"{__name__}:RunsOutOfMemory"), ServerConfig(), settings)
    assert "could not load: RuntimeError('out of memory')" in (await server.fault() or "")


@pytest.mark.parametrize(("limit", "expected"), [(10_000, ImageResult), (100, InputTooLarge)])
async def test_the_transforms_keep_the_configured_limit(
    settings: Settings, limit: int, expected: type[object]
) -> None:
    server = TransformServer(ServerConfig(limits=LimitsConfig(image_pixels=limit)), settings)
    picture = BytesIO()
    Image.new("RGB", (40, 30)).save(picture, "PNG")
    store = LocalArtifactStore(settings.artifacts_dir)
    with store.create(area=Area.INPUT, owner="0", extension="png") as upload:
        upload.file.write(picture.getvalue())
    request = ScaleImageRequest(image=upload.key, width=20)
    assert isinstance(await server.run("scale-image", request, INFO), expected)
    assert await server.fault() is None


async def test_an_ffmpeg_that_is_too_old_is_told_at_the_start(settings: Settings, tmp_path: Path) -> None:
    old = tmp_path / "ffmpeg"
    old.write_text("#!/bin/sh\necho 'Supported file protocols: Input: file http pipe'\n")
    old.chmod(0o755)
    config = ServerConfig.model_validate({"transforms": {"ffmpeg": str(old)}})
    server = TransformServer(config, settings)
    fault = await server.fault()
    assert fault == f"{old} is no ffmpeg of version 6 or later (transforms.ffmpeg of the configuration)."
    answer = await server.run("probe-media", ProbeMediaRequest(media="a"), INFO)
    assert isinstance(answer, ModelLoadError)
    assert await TransformServer(ServerConfig(), settings).fault() is None
