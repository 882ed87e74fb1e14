"""`ai-server bench speech`: against faster-whisper and Piper called directly."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from faster_whisper import WhisperModel
from piper import PiperVoice

from configs.load import load_config
from configs.schema import ServerConfig
from configs.settings import Settings
from deployments.cli.bench.measure import Comparison, at_once, medians, report
from deployments.cli.bench.samples import SENTENCE, STORY, clip, wav
from deployments.cli.client import ask, connect
from pipelines.sources import Places, find_weights

CLIENTS = 8
LISTENER, SPEAKER = "whisper-base", "piper-joe"


def speech(
    runs: Annotated[int, typer.Option(help="How often each side acts; medians are printed.")] = 5,
    long: Annotated[bool, typer.Option(help="Also the 10-minute clip (takes several minutes).")] = True,
    config_file: Annotated[Path, typer.Option(help="The running server's configuration.")] = Path(
        "serve_config.yaml"
    ),
) -> None:
    """Compare both directions of speech with the bare libraries; the server must be running."""
    settings = Settings.from_environment()
    config = load_config(config_file).args
    voice = PiperVoice.load(_weights(SPEAKER, config, settings))
    with connect(settings, timeout_s=600) as client, tempfile.TemporaryDirectory() as folder:
        report("Text to speech", list(_speaking(client, voice, runs)))
        report("Speech to text", list(_listening(client, voice, runs, long, config, settings, Path(folder))))


def _speaking(client: httpx.Client, voice: Any, runs: int) -> Iterator[Comparison]:
    def say(text: str) -> httpx.Response:
        body = {"input": text, "voice": SPEAKER, "response_format": "wav"}
        return ask(client, "POST", "/v1/audio/speech", json=body)

    def first_byte() -> None:
        body = {"input": STORY, "voice": SPEAKER, "response_format": "wav"}
        with client.stream("POST", "/v1/audio/speech", json=body) as answer:
            next(answer.iter_raw())

    bare, ours = medians(lambda: _spoken(voice, SENTENCE), lambda: say(SENTENCE), runs)
    yield Comparison("one sentence", bare, ours, 1.15)
    bare, ours = medians(lambda: next(iter(voice.synthesize(STORY))), first_byte, runs)
    yield Comparison("first byte of 5 sentences", bare, ours, 1.5)


def _listening(
    client: httpx.Client, voice: Any, runs: int, long: bool, config: ServerConfig, settings: Settings,
    folder: Path,
) -> Iterator[Comparison]:  # fmt: skip
    threads = _threads(config)
    model = WhisperModel(
        _weights(LISTENER, config, settings), "cpu", compute_type="int8", cpu_threads=threads
    )
    story, rate = _samples(voice, STORY), voice.config.sample_rate

    def bare(path: Path) -> None:
        list(model.transcribe(str(path), vad_filter=True)[0])

    def ours(path: Path) -> None:
        # Streamed, because ten minutes of audio take longer than a synchronous call may.
        fields = {"model": LISTENER, "stream": "true"}
        with path.open("rb") as audio:
            ask(client, "POST", "/v1/audio/transcriptions", data=fields, files={"file": audio})

    half_minute = clip(story, rate, 30, folder / "30s.wav")
    yield Comparison("30 s", *medians(lambda: bare(half_minute), lambda: ours(half_minute), runs), 1.10)
    if long:
        ten_minutes = clip(story, rate, 600, folder / "600s.wav")
        times = medians(lambda: bare(ten_minutes), lambda: ours(ten_minutes), min(runs, 3))
        yield Comparison("10 minutes", *times, 1.03)
    ten_seconds = clip(story, rate, 10, folder / "10s.wav")
    times = medians(
        lambda: at_once(lambda: bare(ten_seconds), 1, CLIENTS),
        lambda: at_once(lambda: ours(ten_seconds), CLIENTS, CLIENTS),
        runs,
    )
    yield Comparison(f"{CLIENTS} clients, 10 s each", *times, 1.0, "throughput")


def _spoken(voice: Any, text: str) -> bytes:
    return wav(_samples(voice, text), voice.config.sample_rate)


def _samples(voice: Any, text: str) -> np.ndarray:
    return np.concatenate([chunk.audio_int16_array for chunk in voice.synthesize(text)])


def _weights(model_id: str, config: ServerConfig, settings: Settings) -> str:
    model = next(model for model in config.models if model.id == model_id)
    path = find_weights(model.id, model.source, model.sha256, Places(settings.data_dir, settings.models_dir))
    return str(path)


def _threads(config: ServerConfig) -> int:
    model = next(model for model in config.models if model.id == LISTENER)
    return model.resources.threads or len(os.sched_getaffinity(0))
