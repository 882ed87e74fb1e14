import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import WhisperModel

from configs.load import load_config
from pipelines.audio import Int16Samples
from pipelines.audio_decoding import SPEECH_SAMPLE_RATE
from pipelines.hibari import HibariOptions, HibariPipeline
from pipelines.loading import EngineSettings
from pipelines.piper import PiperOptions, PiperPipeline
from pipelines.sources import Places, find_weights
from pipelines.whisper import WhisperOptions, WhisperPipeline
from tests.fakes import FolderWorkspace
from tests.pipelines.speech_clips import CLIPS

ENGINE = EngineSettings(threads=2, concurrency=2)
PROJECT = Path(__file__).parents[2]

WeightsOf = Callable[[str], Path]


@pytest.fixture(scope="session")
def weights_of(tmp_path_factory: pytest.TempPathFactory) -> WeightsOf:
    """Find the weights of a model that the default configuration serves."""
    folder = tmp_path_factory.mktemp("models")
    models = {model.id: model for model in load_config(PROJECT / "serve_config.yaml").args.models}

    def find(model_id: str) -> Path:
        model = models[model_id]
        path = find_weights(model.id, model.source, model.sha256, Places(folder, folder))
        assert path is not None
        return path

    return find


@pytest.fixture(scope="session")
def whisper(weights_of: WeightsOf) -> WhisperPipeline:
    return WhisperPipeline(weights_of("whisper-base"), WhisperOptions(), ENGINE)


@pytest.fixture(scope="session")
def bare_whisper(weights_of: WeightsOf) -> WhisperModel:
    """The library itself, to compare with."""
    return WhisperModel(str(weights_of("whisper-base")), device="cpu", compute_type="int8", cpu_threads=2)


@pytest.fixture(scope="session")
def tiny_english_whisper(weights_of: WeightsOf) -> WhisperPipeline:
    return WhisperPipeline(weights_of("whisper-tiny-en"), WhisperOptions(window_s=60), ENGINE)


@pytest.fixture(scope="session")
def piper(weights_of: WeightsOf) -> PiperPipeline:
    return PiperPipeline(weights_of("piper-joe"), PiperOptions(), ENGINE)


@pytest.fixture(scope="session")
def hibari() -> HibariPipeline:
    return HibariPipeline(None, HibariOptions(), ENGINE)


@pytest.fixture
def workspace(tmp_path: Path) -> FolderWorkspace:
    return FolderWorkspace(tmp_path)


@pytest.fixture(scope="session")
def all_clips() -> Int16Samples:
    """The five clips after one another: 24.7 s at 16 kHz."""
    return np.concatenate([_samples(clip.path) for clip in CLIPS])


def _samples(path: Path) -> Int16Samples:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


@pytest.fixture(scope="session")
def silence() -> Int16Samples:
    """Five seconds."""
    return np.zeros(5 * SPEECH_SAMPLE_RATE, np.int16)
