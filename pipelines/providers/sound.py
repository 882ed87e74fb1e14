"""Sound on its way to a provider and back."""

from pathlib import Path
from shutil import copyfileobj

import av
import av.error
import numpy as np

from pipelines.audio import PCM_SAMPLE_RATE, AudioFormat, AudioWriter, PipeSink
from pipelines.audio_decoding import SPEECH_SAMPLE_RATE, AudioReader
from pipelines.providers.http import ProviderHttp
from pipelines.tasks.base import MediaKey, Workspace
from pipelines.tasks.text_to_speech import TextToSpeechResult

MAX_SENT_BYTES = 25 * 1000 * 1000
"""OpenAI's limit for a recording."""
_SENT_KINDS = (".flac", ".mp3", ".mp4", ".mpeg", ".mpga", ".m4a", ".ogg", ".wav", ".webm")
"""What OpenAI knows; by the name's ending."""
_SENT_BIT_RATE = 24_000
"""Two hours of Opus are within the limit, and speech loses nothing at it that models hear."""
_PCM_BYTES_PER_S = 2 * PCM_SAMPLE_RATE


def heard(path: Path) -> float:
    """Give the length of a recording in seconds; to be called in a thread.

    Raises:
        UnsupportedMedia: it is none.
    """
    with AudioReader(path) as reader:
        for _ in reader:
            pass
        return reader.duration_s


def to_send(key: MediaKey, workspace: Workspace) -> tuple[str, bytes]:
    """Give a recording with a name, encoded anew if it is large or of a rare kind; to be called in a thread.

    Raises:
        UnsupportedMedia: it is none.
    """
    path = workspace.input(key)
    kind = Path(key).suffix.lower()
    if kind in _SENT_KINDS and path.stat().st_size <= MAX_SENT_BYTES:
        return f"audio{kind}", path.read_bytes()
    sink = PipeSink()
    with AudioReader(path) as reader, AudioWriter(sink, AudioFormat.OPUS, _SENT_BIT_RATE) as writer:
        for block in reader:
            writer.write((block * 32767).astype(np.int16), SPEECH_SAMPLE_RATE)
    return "audio.ogg", sink.take()


def store(path: Path, format_: AudioFormat, workspace: Workspace, http: ProviderHttp) -> TextToSpeechResult:
    """Measure a provider's speech and put it into the artifact store; to be called in a thread."""
    try:
        duration_s, sample_rate = _measured(path, format_)
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        raise http.failed(f"sends something else than {format_}") from error
    with workspace.output(format_.extension) as output, path.open("rb") as file:
        copyfileobj(file, output.file)
    return TextToSpeechResult(audio=output.key, duration_s=duration_s, sample_rate=sample_rate)


def _measured(path: Path, format_: AudioFormat) -> tuple[float, int]:
    if format_ is AudioFormat.PCM:
        return path.stat().st_size / _PCM_BYTES_PER_S, PCM_SAMPLE_RATE
    with av.open(str(path), container_options={"format_whitelist": "mp3,ogg,aac,flac,wav,mov"}) as container:
        stream = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(stream))
        return samples / stream.sample_rate, stream.sample_rate
