"""What there is in a file of sound or video."""

from collections.abc import Collection

from pydantic import Field

from pipelines.tasks.base import Record

UNKNOWN_CODEC = "unknown"


class VideoStream(Record):
    """A video, as it is to be seen."""

    index: int
    codec: str
    width: int
    height: int
    """Pixels, after the turn that the file asks of a player."""
    rotation: int = 0
    """Degrees of that turn."""
    fps: float = 0.0
    """Frames per second; the average where the rate varies."""
    has_variable_rate: bool = False
    pixel_format: str = ""
    bit_depth: int = 8
    matrix: str = ""
    """How colours become numbers, in ffmpeg's words: ``bt709``; empty where the file does not say."""
    hdr: str | None = None
    """``PQ`` or ``HLG``."""
    is_interlaced: bool = False
    has_alpha: bool = False
    has_hidden_start: bool = False
    """Whether it begins with frames that are decoded and not shown: a cut by an edit list."""
    language: str | None = None
    duration_s: float | None = None


class AudioStream(Record):
    """A track of sound."""

    index: int
    codec: str
    channels: int
    sample_rate: int
    language: str | None = None
    duration_s: float | None = None
    """Where the file tells it of each stream."""

    @property
    def is_known(self) -> bool:
        """Whether there is a decoder that made sense of it."""
        return self.codec != UNKNOWN_CODEC and self.channels > 0


class SubtitleStream(Record):
    """A track of subtitles."""

    index: int
    codec: str
    language: str | None = None


class MediaInfo(Record):
    """What a file holds."""

    format: str
    """What people call the container: ``mp4``, ``webm``, ``mp3``."""
    duration_s: float | None = None
    """None where nothing in the file tells."""
    size_bytes: int = 0
    bit_rate: int | None = None
    """Bits per second of the whole file."""
    video: tuple[VideoStream, ...] = ()
    """Without cover pictures."""
    audio: tuple[AudioStream, ...] = ()
    subtitles: tuple[SubtitleStream, ...] = ()
    streams: int = Field(default=0, ge=0)
    """All, also those that we do not use."""

    def length_of(self, indexes: Collection[int]) -> float | None:
        """Give the length of the longest of some streams; None where the file does not tell it of each."""
        streams: tuple[VideoStream | AudioStream, ...] = (*self.video, *self.audio)
        lengths = [each.duration_s for each in streams if each.index in indexes]
        known = [each for each in lengths if each is not None]
        return max(known, default=None) if len(known) == len(lengths) else None
