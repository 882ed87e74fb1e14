import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel

from pipelines.audio import AudioFormat, AudioWriter, Int16Samples
from pipelines.errors import Cancelled, InvalidInput, ModelLoadError, UnsupportedMedia
from pipelines.loading import load_pipeline
from pipelines.tasks.base import MediaKey
from pipelines.tasks.speech_to_text import (
    SPEECH_TO_TEXT,
    Segment,
    SpeechToTextRequest,
    SpeechToTextResult,
    Word,
)
from pipelines.whisper import WhisperOptions, WhisperPipeline
from tests.fakes import FolderWorkspace
from tests.pipelines.conftest import ENGINE, WeightsOf
from tests.pipelines.speech_clips import CLIPS, SHORT_CLIP
from tests.word_error_rate import word_error_rate


def transcribe(
    pipeline: WhisperPipeline, workspace: FolderWorkspace, audio: MediaKey, **wishes: Any
) -> SpeechToTextResult:
    return SPEECH_TO_TEXT.run(pipeline, SpeechToTextRequest(audio=audio, **wishes), workspace)


def add(workspace: FolderWorkspace, samples: Int16Samples) -> MediaKey:
    file = io.BytesIO()
    with AudioWriter(file, AudioFormat.WAV) as writer:
        writer.write(samples, 16_000)
    return workspace.add(file.getvalue(), "speech.wav")


def bare_segments(model: WhisperModel, path: Path, **arguments: Any) -> tuple[Segment, ...]:
    """Give what faster-whisper says, in our record."""
    heard, _ = model.transcribe(str(path), vad_filter=True, **arguments)
    return tuple(
        Segment(
            id=number,
            start_s=round(item.start, 3),
            end_s=round(item.end, 3),
            words=tuple(
                Word(
                    text=word.word,
                    start_s=round(float(word.start), 3),
                    end_s=round(float(word.end), 3),
                    probability=float(word.probability),
                )
                for word in item.words or ()
            ),
            **{
                name: value
                for name, value in asdict(item).items()
                if name in Segment.model_fields and name not in {"id", "words"}
            },
        )
        for number, item in enumerate(heard)
    )


def test_makes_no_more_errors_than_the_bare_library(
    whisper: WhisperPipeline, bare_whisper: WhisperModel, workspace: FolderWorkspace
) -> None:
    said = " ".join(clip.text for clip in CLIPS)
    ours = [transcribe(whisper, workspace, workspace.add(clip.path, clip.path.name)) for clip in CLIPS]
    bare = [bare_segments(bare_whisper, clip.path) for clip in CLIPS]
    assert [result.segments for result in ours] == bare
    assert word_error_rate(said, " ".join(result.text for result in ours)) <= 0.03
    assert {result.language for result in ours} == {"en"}


@pytest.mark.parametrize(
    ("wishes", "arguments"),
    [
        ({"word_timestamps": True}, {"word_timestamps": True}),
        ({"language": "EN-us"}, {"language": "en"}),
        ({"prompt": "HE WAS NOT"}, {"initial_prompt": "HE WAS NOT"}),
        ({"translate": True, "language": "de"}, {"task": "translate", "language": "de"}),
    ],
    ids=["words", "language", "prompt", "translate"],
)
def test_each_wish_reaches_the_model(
    wishes: dict[str, Any],
    arguments: dict[str, Any],
    whisper: WhisperPipeline,
    bare_whisper: WhisperModel,
    workspace: FolderWorkspace,
) -> None:
    result = transcribe(whisper, workspace, workspace.add(SHORT_CLIP.path, "clip.wav"), **wishes)
    assert result.segments == bare_segments(bare_whisper, SHORT_CLIP.path, **arguments)
    assert result.language == arguments.get("language", "en")
    assert result.duration_s == 2.99


def test_word_times_lie_in_order_within_the_clip(
    tiny_english_whisper: WhisperPipeline, workspace: FolderWorkspace
) -> None:
    result = transcribe(
        tiny_english_whisper, workspace, workspace.add(SHORT_CLIP.path, "clip.wav"), word_timestamps=True
    )
    words = [word for segment in result.segments for word in segment.words]
    assert "".join(word.text for word in words).strip() == result.text
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert times[-1] <= result.duration_s


def test_a_temperature_is_the_only_one_tried(
    tiny_english_whisper: WhisperPipeline, workspace: FolderWorkspace
) -> None:
    result = transcribe(
        tiny_english_whisper, workspace, workspace.add(SHORT_CLIP.path, "clip.wav"), temperature=0.4
    )
    assert {segment.temperature for segment in result.segments} == {0.4}


@pytest.mark.parametrize("language", [None, "fr"])
def test_silence_gives_no_words(
    language: str | None, whisper: WhisperPipeline, workspace: FolderWorkspace, silence: Int16Samples
) -> None:
    result = transcribe(whisper, workspace, add(workspace, silence), language=language)
    assert (result.text, result.segments, result.duration_s) == ("", (), 5.0)
    assert len(result.language) == 2
    assert language in {None, result.language}


def test_what_comes_after_a_long_silence_decides_the_language(
    weights_of: WeightsOf, workspace: FolderWorkspace, all_clips: Int16Samples
) -> None:
    short_windows = WhisperPipeline(weights_of("whisper-base"), WhisperOptions(window_s=60), ENGINE)
    recording = np.concatenate([np.zeros(70 * 16_000, np.int16), all_clips[: 7 * 16_000]])
    result = transcribe(short_windows, workspace, add(workspace, recording))
    assert result.language == "en"
    assert result.segments[0].start_s == pytest.approx(70, abs=1)


def test_a_long_recording_is_heard_in_windows(
    tiny_english_whisper: WhisperPipeline, workspace: FolderWorkspace, all_clips: Int16Samples
) -> None:
    said = " ".join(clip.text for clip in CLIPS)
    whole = transcribe(tiny_english_whisper, workspace, add(workspace, all_clips))
    workspace.reports.clear()
    result = transcribe(tiny_english_whisper, workspace, add(workspace, np.tile(all_clips, 3)))
    assert result.duration_s == pytest.approx(3 * whole.duration_s)
    assert [segment.id for segment in result.segments] == list(range(len(result.segments)))
    starts = [segment.start_s for segment in result.segments]
    assert starts == sorted(starts)
    assert starts[-1] > 2 * whole.duration_s
    assert word_error_rate(f"{said} {said} {said}", result.text) <= word_error_rate(said, whole.text) + 0.03
    progress = [progress for progress, _ in workspace.reports]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


def test_text_that_the_model_is_unsure_of_is_not_built_on(
    tiny_english_whisper: WhisperPipeline, workspace: FolderWorkspace, all_clips: Int16Samples
) -> None:
    audio = add(workspace, np.tile(all_clips, 3)[: 65 * 16_000])
    result = transcribe(tiny_english_whisper, workspace, audio, temperature=0.8)
    assert result.segments[-1].end_s > 60


def test_runs_may_share_the_pipeline(whisper: WhisperPipeline, workspace: FolderWorkspace) -> None:
    keys = [workspace.add(clip.path, clip.path.name) for clip in CLIPS[:2]]
    alone = [transcribe(whisper, workspace, key) for key in keys]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda key: transcribe(whisper, workspace, key), keys))
    assert together == alone


def test_stops_between_segments(
    tiny_english_whisper: WhisperPipeline, workspace: FolderWorkspace, all_clips: Int16Samples
) -> None:
    request = SpeechToTextRequest(audio=add(workspace, np.tile(all_clips, 2)))
    events = tiny_english_whisper.speech_to_text(request, workspace)
    assert isinstance(next(events), Segment)
    workspace.cancel()
    with pytest.raises(Cancelled):
        next(events)


def test_stops_in_silence(
    tiny_english_whisper: WhisperPipeline, workspace: FolderWorkspace, silence: Int16Samples
) -> None:
    audio = add(workspace, silence)
    workspace.cancel()
    with pytest.raises(Cancelled):
        transcribe(tiny_english_whisper, workspace, audio)


def test_an_unknown_language_is_refused_with_those_that_there_are(
    whisper: WhisperPipeline, workspace: FolderWorkspace
) -> None:
    with pytest.raises(
        InvalidInput, match=r"This model does not know 'klingon'.* ISO 639-1 code: af, am, .*zh"
    ) as refusal:
        transcribe(whisper, workspace, "unread.wav", language="klingon")
    assert refusal.value.field == "language"
    with pytest.raises(InvalidInput, match="language"):
        transcribe(whisper, workspace, "unread.wav", language="yue")


def test_an_english_model_says_that_it_is_one(
    tiny_english_whisper: WhisperPipeline, workspace: FolderWorkspace
) -> None:
    with pytest.raises(InvalidInput, match=r"ISO 639-1 code: en\."):
        transcribe(tiny_english_whisper, workspace, "unread.wav", language="de")
    with pytest.raises(InvalidInput, match="This model hears English only") as refusal:
        transcribe(tiny_english_whisper, workspace, "unread.wav", translate=True)
    assert refusal.value.field == "translate"


def test_a_letter_is_no_speech(tiny_english_whisper: WhisperPipeline, workspace: FolderWorkspace) -> None:
    with pytest.raises(UnsupportedMedia, match="The file is neither video nor sound"):
        transcribe(tiny_english_whisper, workspace, workspace.add(b"Dear server,\n" * 50, "letter.wav"))


def test_a_folder_without_a_model_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="no source"):
        WhisperPipeline(None, WhisperOptions(), ENGINE)
    (tmp_path / "model.bin").touch()
    with pytest.raises(ModelLoadError, match=r"missing: tokenizer.json\. Check 'source'"):
        WhisperPipeline(tmp_path, WhisperOptions(), ENGINE)


def test_the_configuration_chooses_the_number_format(
    weights_of: WeightsOf, workspace: FolderWorkspace
) -> None:
    options = {"compute_type": "float32", "beam_size": 1}
    pipeline = load_pipeline(
        "pipelines.whisper:WhisperPipeline",
        ["speech-to-text"],
        weights_of("whisper-tiny-en"),
        options,
        ENGINE,
    )
    result = transcribe(pipeline, workspace, workspace.add(SHORT_CLIP.path, "clip.wav"))
    assert word_error_rate(SHORT_CLIP.text, result.text) <= 0.25
