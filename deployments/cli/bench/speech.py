"""`ai-server bench speech`: against faster-whisper and Piper called directly."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from faster_whisper import WhisperModel
from piper import PiperVoice

from configs.load import load_config
from configs.schema import ServerConfig
from configs.settings import Settings, usable_cores
from deployments.cli.bench.measure import Comparison, at_once, medians, report
from deployments.cli.bench.samples import SENTENCE, STORY, clip, wav
from deployments.cli.client import ask, connect
from pipelines.sources import Places, find_weights

CLIENTS = 8
LISTENER, SPEAKER = "whisper-base", "piper-joe"


def speech(
    runs: Annotated[int, typer.Option(help="How often each side acts; medians are printed.")] = 5,
    long: Annotated[bool, typer.Option(help="Also the 10-minute clip (takes several minutes).")] = True,
    recordings: Annotated[Path, typer.Option(help="Folder of 16 kHz wav files with speech.")] = Path(
        "tests/data"
    ),
    config_file: Annotated[Path, typer.Option(help="The running server's configuration.")] = Path(
        "serve_config.yaml"
    ),
) -> None:
    """Compare both directions of speech with the bare libraries; the server must be running."""
    settings = Settings.from_environment()
    config = load_config(config_file).args
    voice = PiperVoice.load(_weights(SPEAKER, config, settings))
    model = WhisperModel(
        _weights(LISTENER, config, settings), "cpu", compute_type="int8", cpu_threads=_threads(config)
    )
    with connect(settings, timeout_s=600) as client, tempfile.TemporaryDirectory() as folder:
        report("Text to speech", list(_speaking(client, voice, runs)))
        clips = {s: clip(recordings, s, Path(folder) / f"{s}s.wav") for s in (10, 30, 600)}
        listening = _Listening(client, model, clips)
        report("Speech to text", list(listening.compare(runs, long)))


def _speaking(client: httpx.Client, voice: Any, runs: int) -> Iterator[Comparison]:
    def say() -> httpx.Response:
        body = {"input": SENTENCE, "voice": SPEAKER, "response_format": "wav"}
        return ask(client, "POST", "/v1/audio/speech", json=body)

    def first_byte() -> None:
        body = {"input": STORY, "voice": SPEAKER, "response_format": "wav"}
        with client.stream("POST", "/v1/audio/speech", json=body) as answer:
            next(answer.iter_raw())

    yield Comparison("one sentence", *medians(lambda: _spoken(voice), say, runs), 1.15)
    times = medians(lambda: next(iter(voice.synthesize(STORY))), first_byte, runs)
    yield Comparison("first byte of 5 sentences", *times, 1.5)


def _spoken(voice: Any) -> bytes:
    samples = np.concatenate([chunk.audio_int16_array for chunk in voice.synthesize(SENTENCE)])
    return wav(samples, voice.config.sample_rate)


@dataclass(frozen=True)
class _Listening:
    """Both ways to transcribe a clip; the clips by their length in seconds."""

    client: httpx.Client
    model: Any
    clips: dict[int, Path]

    def compare(self, runs: int, long: bool) -> Iterator[Comparison]:
        yield Comparison("30 s", *self._alone(30, runs), 1.10)
        if long:
            yield Comparison("10 minutes", *self._alone(600, min(runs, 3)), 1.03)
        times = medians(
            lambda: at_once(lambda: self._bare(10), 1, CLIENTS),
            lambda: at_once(lambda: self._ours(10), CLIENTS, CLIENTS),
            runs,
        )
        yield Comparison(f"{CLIENTS} clients, 10 s each", *times, 1.0, "throughput")

    def _alone(self, seconds: int, runs: int) -> tuple[float, float]:
        return medians(lambda: self._bare(seconds), lambda: self._ours(seconds), runs)

    def _bare(self, seconds: int) -> None:
        list(self.model.transcribe(str(self.clips[seconds]), vad_filter=True)[0])

    def _ours(self, seconds: int) -> None:
        # Streamed, because ten minutes of audio take longer than a synchronous call may.
        fields = {"model": LISTENER, "stream": "true"}
        with self.clips[seconds].open("rb") as audio:
            ask(self.client, "POST", "/v1/audio/transcriptions", data=fields, files={"file": audio})


def _weights(model_id: str, config: ServerConfig, settings: Settings) -> str:
    model = next(model for model in config.models if model.id == model_id)
    path = find_weights(model.id, model.source, model.sha256, Places(settings.data_dir, settings.models_dir))
    return str(path)


def _threads(config: ServerConfig) -> int:
    model = next(model for model in config.models if model.id == LISTENER)
    return model.resources.threads or usable_cores()
