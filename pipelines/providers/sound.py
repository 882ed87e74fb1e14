"""Sound on its way to a provider and back."""

from pathlib import Path
from shutil import copyfileobj

import numpy as np

from pipelines.audio import PCM_SAMPLE_RATE, AudioFormat, AudioWriter, PipeSink
from pipelines.audio_decoding import SPEECH_SAMPLE_RATE, open_sound
from pipelines.errors import InvalidInput
from pipelines.media.formats import VideoFormat
from pipelines.media.sniffing import sniff
from pipelines.media.sources import probe
from pipelines.providers.http import ProviderHttp
from pipelines.tasks.base import MediaKey, Workspace
from pipelines.tasks.text_to_speech import TextToSpeechResult

MAX_SENT_BYTES = 25 * 1000 * 1000
"""OpenAI's limit for a recording."""
_SENT_ENDINGS = {"flac": "flac", "mp3": "mp3", "mov": "mp4", "mpeg": "mpeg", "ogg": "ogg", "wav": "wav"}
"""What OpenAI knows: ffmpeg's name of the container, and the name's ending by which OpenAI knows it."""
_SENT_BIT_RATE = 24_000
"""Two hours of Opus are within the limit, and speech loses nothing at it that models hear."""
_PCM_BYTES_PER_S = 2 * PCM_SAMPLE_RATE


def heard(key: MediaKey, workspace: Workspace) -> float:
    """Give the length of a recording in seconds; to be called in a thread.

    Raises:
        UnsupportedMedia: it is none.
    """
    with open_sound(workspace.input(key), workspace) as sound:
        return sound.duration_s


def to_send(key: MediaKey, workspace: Workspace) -> tuple[str, bytes]:
    """Give a recording with a name, encoded anew if it is large or of a rare kind; to be called in a thread.

    Raises:
        UnsupportedMedia: it is none.
    """
    path = workspace.input(key)
    if path.stat().st_size <= MAX_SENT_BYTES and (ending := _ending(path)):
        return f"audio.{ending}", path.read_bytes()
    sink = PipeSink()
    with (
        open_sound(path, workspace) as sound,
        AudioWriter(sink, AudioFormat.OPUS, _SENT_BIT_RATE) as writer,
    ):
        for block in sound:
            writer.write((block * 32767).astype(np.int16), SPEECH_SAMPLE_RATE)
    return "audio.ogg", sink.take()


def _ending(path: Path) -> str | None:
    with path.open("rb") as file:
        kind = sniff(file, "audio")
    return "webm" if kind.video_format is VideoFormat.WEBM else _SENT_ENDINGS.get(kind.demuxer)


def store(path: Path, format_: AudioFormat, workspace: Workspace, http: ProviderHttp) -> TextToSpeechResult:
    """Measure a provider's speech and put it into the artifact store; to be called in a thread."""
    try:
        duration_s, sample_rate = _measured(path, format_, workspace)
    except InvalidInput as error:
        raise http.failed(f"sends something else than {format_}") from error
    with workspace.output(format_.extension) as output, path.open("rb") as file:
        copyfileobj(file, output.file)
    return TextToSpeechResult(audio=output.key, duration_s=duration_s, sample_rate=sample_rate)


def _measured(path: Path, format_: AudioFormat, workspace: Workspace) -> tuple[float, int]:
    if format_ is AudioFormat.PCM:
        return path.stat().st_size / _PCM_BYTES_PER_S, PCM_SAMPLE_RATE
    with open_sound(path, workspace) as sound, path.open("rb", buffering=0) as file:
        info = probe(file, sniff(file, "audio"), workspace, "audio")
        return sound.duration_s, info.audio[0].sample_rate
