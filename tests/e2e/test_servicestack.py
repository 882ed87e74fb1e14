"""ServiceStack's own Python client, with the typed requests that its package installs."""

import importlib.util
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import servicestack
from PIL import Image
from servicestack.clients import UploadFile

from tests.e2e.conftest import SENTENCE, Server
from tests.word_error_rate import word_error_rate

pytestmark = pytest.mark.e2e

PACKAGE_TESTS = Path(servicestack.__file__).parents[1] / "tests"
"""The wheel installs its tests as a top-level package, which ours hides."""


@pytest.fixture(scope="module")
def dtos() -> ModuleType:
    spec = importlib.util.spec_from_file_location("aiserver_dtos", PACKAGE_TESTS / "aiserver_dtos.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["aiserver_dtos"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def typed(server: Server) -> Any:
    client = servicestack.JsonServiceClient(server.url)
    client.set_bearer_token(server.key)
    return client


def upload(field: str, data: bytes, name: str, kind: str) -> UploadFile:
    return UploadFile(field_name=field, file_name=name, content_type=kind, stream=io.BytesIO(data))


def picture(width: int, height: int, colour: str = "navy") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def opened(response: Any) -> Image.Image:
    return Image.open(io.BytesIO(httpx.get(response.outputs[0].url).content))


def test_text_to_speech_and_back(typed: Any, dtos: ModuleType) -> None:
    spoken = typed.send(dtos.TextToSpeech(input=SENTENCE))
    audio = httpx.get(spoken.outputs[0].url).content
    heard = typed.post_file_with_request(
        request=dtos.SpeechToText(), file=upload("audio", audio, "speech.wav", "audio/wav")
    )
    assert len(heard.text_outputs) == 2
    assert word_error_rate(SENTENCE, heard.text_outputs[0].text) <= 0.12


def asked(dtos: ModuleType) -> Any:
    message = dtos.OpenAiMessage(role="user", content="What is the capital of France?")
    return dtos.OpenAiChat(model="smollm2", messages=[message], temperature=0, max_tokens=30)


def test_chat(typed: Any, dtos: ModuleType) -> None:
    chat = vars(asked(dtos))
    said = typed.send(dtos.OpenAiChatCompletion(**chat))
    assert "Paris" in said.choices[0].message.content
    assert said.usage.completion_tokens > 3
    again = typed.send(dtos.ChatAiProvider(provider="ai-server", model="smollm2", request=asked(dtos)))
    assert again.choices[0].message.content == said.choices[0].message.content


def test_chat_queued(typed: Any, dtos: ModuleType) -> None:
    queued = typed.send(dtos.QueueOpenAiChatCompletion(ref_id="typed-chat", request=asked(dtos)))
    waited = typed.send(dtos.WaitForOpenAiChat(ref_id="typed-chat"))
    assert (waited.result.id, waited.result.ref_id) == (queued.id, "typed-chat")
    assert "Paris" in waited.result.response_body
    status = typed.send(dtos.GetOpenAiChatStatus(job_id=queued.id))
    assert "Paris" in status.chat_response.choices[0].message.content
    with pytest.raises(servicestack.WebServiceException) as caught:
        typed.send(dtos.QueueOpenAiChatCompletion(request=dtos.OpenAiChat(model="nobody's", messages=[])))
    assert caught.value.status_code == 400


def test_scale(typed: Any, dtos: ModuleType) -> None:
    image = upload("image", picture(80, 60), "p.png", "image/png")
    response = typed.post_file_with_request(request=dtos.ScaleImage(width=40), file=image)
    assert opened(response).size == (40, 30)


def test_crop(typed: Any, dtos: ModuleType) -> None:
    image = upload("image", picture(80, 60), "p.png", "image/png")
    response = typed.post_file_with_request(
        request=dtos.CropImage(x=0, y=10, width=30, height=20), file=image
    )
    assert opened(response).size == (30, 20)


def test_watermark(typed: Any, dtos: ModuleType) -> None:
    files = [
        upload("image", picture(80, 60), "p.png", "image/png"),
        upload("watermark", picture(20, 10, "white"), "w.png", "image/png"),
    ]
    request = dtos.WatermarkImage(position=dtos.WatermarkPosition.BOTTOM_RIGHT)
    marked = opened(typed.post_files_with_request(request, files)).convert("RGB")
    assert marked.getpixel((60, 45)) == pytest.approx((127, 127, 192), abs=2)
    assert marked.getpixel((5, 5)) == (0, 0, 128)


def test_convert(typed: Any, dtos: ModuleType) -> None:
    image = upload("image", picture(80, 60), "p.png", "image/png")
    request = dtos.ConvertImage(output_format=dtos.ImageOutputFormat.WEBP)
    assert opened(typed.post_file_with_request(request=request, file=image)).format == "WEBP"


def test_an_error_comes_back_typed(typed: Any, dtos: ModuleType) -> None:
    with pytest.raises(servicestack.WebServiceException) as caught:
        typed.send(dtos.TextToSpeech(input=""))
    assert caught.value.status_code == 400
    assert caught.value.response_status.errors[0].field_name == "Input"


def test_the_packages_own_test_passes(server: Server, spoken: bytes, tmp_path: Path) -> None:
    files = tmp_path / "tests" / "files"
    files.mkdir(parents=True)
    (files / "test_audio.wav").write_bytes(spoken)
    shutil.copytree(PACKAGE_TESTS, tmp_path / "tests", dirs_exist_ok=True)
    environment = {
        **os.environ,
        "RUN_AI_TESTS": "1",
        "AI_SERVER_URL": server.url,
        "AI_SERVER_API_KEY": server.key,
    }
    test = "tests.test_aiserver.TestAiServer.test_can_speech_to_text"
    command = [sys.executable, "-m", "unittest", test]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr
