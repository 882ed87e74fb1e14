import json
from pathlib import Path

import numpy as np
import pytest
from piper import PiperConfig, PiperVoice

from pipelines.audio import AudioFormat
from pipelines.audio_decoding import open_sound
from pipelines.errors import Cancelled, InvalidInput, ModelLoadError
from pipelines.loading import load_pipeline
from pipelines.piper import PiperOptions, PiperPipeline, speaker_number
from pipelines.tasks.speech_to_text import SPEECH_TO_TEXT, SpeechToTextRequest
from pipelines.tasks.text_to_speech import TEXT_TO_SPEECH, TextToSpeechRequest
from pipelines.whisper import WhisperPipeline
from tests.fakes import FolderWorkspace
from tests.pipelines.conftest import ENGINE, WeightsOf
from tests.word_error_rate import word_error_rate

PARAGRAPH = (
    "My sister planted seven apple trees behind the house. In the summer we sit in their shade and read. "
    "When autumn comes, the children collect the fruit, and we bake a large cake together."
)


def speak(pipeline: PiperPipeline, workspace: FolderWorkspace, text: str) -> list[tuple[int, float]]:
    """Give rate and duration of each piece."""
    request = TextToSpeechRequest(text=text)
    return [
        (piece.sample_rate, len(piece.samples) / piece.sample_rate)
        for piece in pipeline.text_to_speech(request, workspace)
    ]


def duration_s(pieces: list[tuple[int, float]]) -> float:
    return sum(piece_s for _, piece_s in pieces)


def test_what_it_speaks_is_understood(
    piper: PiperPipeline, whisper: WhisperPipeline, workspace: FolderWorkspace
) -> None:
    def errors() -> float:
        spoken = TEXT_TO_SPEECH.run(piper, TextToSpeechRequest(text=PARAGRAPH), workspace)
        heard = SPEECH_TO_TEXT.run(whisper, SpeechToTextRequest(audio=spoken.audio), workspace)
        assert heard.duration_s == pytest.approx(spoken.duration_s, abs=0.01)
        assert spoken.sample_rate == 22_050
        return word_error_rate(PARAGRAPH, heard.text)

    assert any(errors() <= 0.05 for _ in range(3))  # it never says a text twice alike


@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.WAV, AudioFormat.OPUS])
def test_the_stream_is_a_file_that_begins_with_the_first_sentence(
    audio_format: AudioFormat, piper: PiperPipeline, workspace: FolderWorkspace
) -> None:
    assert TEXT_TO_SPEECH.stream is not None
    request = TextToSpeechRequest(text=PARAGRAPH, response_format=audio_format)
    first, *rest = TEXT_TO_SPEECH.stream(piper, request, workspace)
    whole = workspace.path(workspace.add(b"".join([first, *rest]), "whole"))
    with open_sound(whole, workspace) as sound:
        assert 8 < sound.duration_s < 14
    with open_sound(workspace.path(workspace.add(first, "first")), workspace) as sound:
        assert 1 < sound.duration_s < 5


def test_speaks_sentence_by_sentence(piper: PiperPipeline, workspace: FolderWorkspace) -> None:
    assert len(speak(piper, workspace, PARAGRAPH)) == 3


def test_says_what_the_bare_library_says(
    piper: PiperPipeline, weights_of: WeightsOf, workspace: FolderWorkspace
) -> None:
    bare = PiperVoice.load(weights_of("piper-joe"))
    bare_s = sum(len(piece.audio_int16_array) for piece in bare.synthesize(PARAGRAPH)) / 22_050
    # The voice has a random part, which also moves its pace.
    assert duration_s(speak(piper, workspace, PARAGRAPH)) == pytest.approx(bare_s, rel=0.1)


def test_a_sentence_without_end_comes_in_bounded_pieces(
    piper: PiperPipeline, workspace: FolderWorkspace
) -> None:
    pieces = speak(piper, workspace, "the quick brown fox jumps over the lazy dog " * 20)
    assert len(pieces) > 3
    assert max(piece_s for _, piece_s in pieces) < 25


@pytest.mark.parametrize("letters", ["p.m., ", "a.b.", "é.", "U.S. "])
def test_rows_of_dotted_letters_do_not_kill_the_process(
    letters: str, piper: PiperPipeline, workspace: FolderWorkspace
) -> None:
    request = TextToSpeechRequest(text=letters * 1000)
    first = next(piper.text_to_speech(request, workspace))
    assert np.abs(first.samples).max() > 1000


@pytest.mark.parametrize("text", [" ", "...", "—", "\n\n", "(){}", "\x00"])
def test_a_text_without_a_sound_is_refused(
    text: str, piper: PiperPipeline, workspace: FolderWorkspace
) -> None:
    with pytest.raises(InvalidInput, match="There is nothing in it") as refusal:
        speak(piper, workspace, text)
    assert refusal.value.field == "text"


def test_stops_between_sentences(piper: PiperPipeline, workspace: FolderWorkspace) -> None:
    pieces = piper.text_to_speech(TextToSpeechRequest(text=PARAGRAPH), workspace)
    next(pieces)
    workspace.cancel()
    with pytest.raises(Cancelled):
        next(pieces)


def config(num_speakers: int, names: dict[str, int]) -> PiperConfig:
    return PiperConfig.from_dict(
        {
            "num_symbols": 1,
            "num_speakers": num_speakers,
            "audio": {"sample_rate": 22_050},
            "espeak": {"voice": "en-us"},
            "phoneme_id_map": {},
            "speaker_id_map": names,
        }
    )


CHOIR = config(3, {"anna": 0, "bert": 1, "7": 2})


@pytest.mark.parametrize(
    ("voice", "speaker", "number"),
    [
        (CHOIR, None, None),
        (CHOIR, "bert", 1),
        (CHOIR, "0", 0),
        (CHOIR, "7", 2),
        (config(1, {}), "0", 0),
        (config(1, {}), None, None),
    ],
)
def test_speakers_have_names_and_numbers(voice: PiperConfig, speaker: str | None, number: int | None) -> None:
    assert speaker_number(voice, speaker) == number


@pytest.mark.parametrize(
    ("voice", "speaker", "advice"),
    [
        (CHOIR, "carl", "from 0 to 2, or a name: anna, bert, 7"),
        (CHOIR, "3", "from 0 to 2"),
        (CHOIR, "-1", "from 0 to 2"),
        (CHOIR, "", "from 0 to 2"),
        (CHOIR, "²", "from 0 to 2"),
        (config(2, {}), "anna", r"from 0 to 1\."),
        (config(1, {}), "1", "only one speaker"),
        (config(1, {}), "anna", "only one speaker"),
    ],
)
def test_an_unknown_speaker_is_refused_with_those_that_there_are(
    voice: PiperConfig, speaker: str, advice: str
) -> None:
    with pytest.raises(InvalidInput, match=advice) as refusal:
        speaker_number(voice, speaker)
    assert refusal.value.field == "speaker"


def test_the_speaker_of_the_request_is_looked_up(piper: PiperPipeline, workspace: FolderWorkspace) -> None:
    request = TextToSpeechRequest(text="Hello.", speaker="anna")
    with pytest.raises(InvalidInput, match="only one speaker"):
        next(piper.text_to_speech(request, workspace))


def load(weights: Path | None) -> PiperPipeline:
    return PiperPipeline(weights, PiperOptions(), ENGINE)


def voice_folder(folder: Path, weights: Path, **changes: object) -> Path:
    """Make a folder with a voice whose configuration is changed."""
    (folder / "voice.onnx").symlink_to(weights)
    original = json.loads(weights.with_name(f"{weights.name}.json").read_text())
    (folder / "voice.onnx.json").write_text(json.dumps(original | changes))
    return folder


def test_a_voice_may_be_a_folder_and_keeps_its_own_pace(
    piper: PiperPipeline, weights_of: WeightsOf, tmp_path: Path, workspace: FolderWorkspace
) -> None:
    inference = {"noise_scale": 0.667, "length_scale": 2, "noise_w": 0.8}
    slow = load(voice_folder(tmp_path, weights_of("piper-joe"), inference=inference))
    text = "This voice takes its time."
    assert duration_s(speak(slow, workspace, text)) == pytest.approx(
        2 * duration_s(speak(piper, workspace, text)), rel=0.2
    )


def test_a_voice_that_cannot_be_loaded_names_the_remedy(weights_of: WeightsOf, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="needs a 'source'"):
        load(None)
    with pytest.raises(ModelLoadError, match=r"one \.onnx file is expected, found: none"):
        load(tmp_path)
    lonely = tmp_path / "lonely.onnx"
    lonely.symlink_to(weights_of("piper-joe"))
    with pytest.raises(ModelLoadError, match=r"lonely\.onnx\.json is missing"):
        load(lonely)
    lonely.with_name("lonely.onnx.json").write_text("{}")
    with pytest.raises(ModelLoadError, match="is not the configuration of a Piper voice"):
        load(lonely)


def test_a_voice_whose_phonemizer_would_download_is_refused(weights_of: WeightsOf, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="phoneme_type pinyin is not served"):
        load(voice_folder(tmp_path, weights_of("piper-joe"), phoneme_type="pinyin"))


def test_the_configuration_can_name_it(weights_of: WeightsOf) -> None:
    pipeline = load_pipeline(
        "pipelines.piper:PiperPipeline",
        ["text-to-speech"],
        weights_of("piper-joe"),
        {"noise_scale": 0},
        ENGINE,
    )
    assert isinstance(pipeline, PiperPipeline)
