from pathlib import Path

import numpy as np
import pytest
from hibari import Hibari

from pipelines.audio import Int16Samples
from pipelines.errors import Cancelled, InvalidInput, ModelLoadError
from pipelines.hibari import HibariOptions, HibariPipeline
from pipelines.loading import load_pipeline
from pipelines.tasks.speech_to_text import SPEECH_TO_TEXT, SpeechToTextRequest
from pipelines.tasks.text_to_speech import TEXT_TO_SPEECH, TextToSpeechRequest
from pipelines.whisper import WhisperPipeline
from tests.fakes import FolderWorkspace
from tests.pipelines.conftest import ENGINE
from tests.word_error_rate import word_error_rate

PARAGRAPH = (
    "My sister planted seven apple trees behind the house. In the summer we sit in their shade and read. "
    "When autumn comes, the children collect the fruit, and we bake a large cake together."
)


def speak(
    pipeline: HibariPipeline,
    workspace: FolderWorkspace,
    text: str,
    *,
    seed: int | None = None,
) -> list[Int16Samples]:
    request = TextToSpeechRequest(text=text, seed=seed)
    return [piece.samples for piece in pipeline.text_to_speech(request, workspace)]


def test_what_it_speaks_is_understood(
    hibari: HibariPipeline, whisper: WhisperPipeline, workspace: FolderWorkspace
) -> None:
    spoken = TEXT_TO_SPEECH.run(hibari, TextToSpeechRequest(text=PARAGRAPH), workspace)
    heard = SPEECH_TO_TEXT.run(whisper, SpeechToTextRequest(audio=spoken.audio), workspace)
    assert word_error_rate(PARAGRAPH, heard.text) <= 0.05
    assert spoken.sample_rate == 24_000


def test_says_what_the_bare_library_says_sentence_by_sentence(
    hibari: HibariPipeline, workspace: FolderWorkspace
) -> None:
    bare = list(Hibari(threads=ENGINE.threads).stream(PARAGRAPH, seed=7))
    pieces = speak(hibari, workspace, PARAGRAPH, seed=7)
    assert [len(piece) for piece in pieces] == [len(piece) for piece in bare]
    assert np.allclose(np.concatenate(pieces) / 32767, np.concatenate(bare), atol=1e-3)


def test_a_seed_makes_it_repeatable(hibari: HibariPipeline, workspace: FolderWorkspace) -> None:
    one, same, other = (speak(hibari, workspace, "Hello there.", seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_it_has_one_speaker(hibari: HibariPipeline, workspace: FolderWorkspace) -> None:
    assert next(hibari.text_to_speech(TextToSpeechRequest(text="Hello.", speaker="0"), workspace))
    with pytest.raises(InvalidInput, match="only one speaker, not 'anna'"):
        next(hibari.text_to_speech(TextToSpeechRequest(text="Hello.", speaker="anna"), workspace))


@pytest.mark.parametrize("text", [" ", "...", "\N{GRINNING FACE}", "(){}", "日本語", "\x00"])
def test_a_text_without_an_english_sound_is_refused(
    text: str, hibari: HibariPipeline, workspace: FolderWorkspace
) -> None:
    with pytest.raises(InvalidInput, match="There is nothing in it") as refusal:
        speak(hibari, workspace, text)
    assert refusal.value.field == "text"


@pytest.mark.parametrize("text", ["the quick brown fox jumps over the lazy dog " * 40, "a-b-" * 100])
def test_sentences_and_words_without_end_come_in_bounded_pieces(
    text: str, hibari: HibariPipeline, workspace: FolderWorkspace
) -> None:
    pieces = speak(hibari, workspace, text)
    assert len(pieces) > 1
    assert max(len(piece) for piece in pieces) < 30 * 24_000


def test_stops_between_sentences(hibari: HibariPipeline, workspace: FolderWorkspace) -> None:
    pieces = hibari.text_to_speech(TextToSpeechRequest(text=PARAGRAPH), workspace)
    next(pieces)
    workspace.cancel()
    with pytest.raises(Cancelled):
        next(pieces)


def test_a_voice_that_is_not_here_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    with pytest.raises(ModelLoadError, match=f"Put its file at {tmp_path}.*, or use 'heart'"):
        HibariPipeline(None, HibariOptions(voice="emma"), ENGINE)
    with pytest.raises(ModelLoadError, match=r"no voice 'nobody'\. Voices: heart"):
        HibariPipeline(None, HibariOptions(voice="nobody"), ENGINE)


def test_a_source_may_lead_to_a_voice_file(workspace: FolderWorkspace, hibari: HibariPipeline) -> None:
    file = Path(Hibari().model_path)
    pipeline = load_pipeline("pipelines.hibari:HibariPipeline", ["text-to-speech"], file, {}, ENGINE)
    assert np.array_equal(
        speak(pipeline, workspace, "Hello.", seed=1)[0], speak(hibari, workspace, "Hello.", seed=1)[0]
    )
