"""The files that video and sound are written to, and what each of them can hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class VideoFormat(StrEnum):
    """A container for video, as AI Server spells it."""

    MP4 = "mp4"
    MOV = "mov"
    WEBM = "webm"
    MKV = "mkv"
    AVI = "avi"
    WMV = "wmv"
    MPEG = "mpeg"
    OGG = "ogg"

    @property
    def extension(self) -> str:
        """The file name's ending: that of a video, where sound has another."""
        return "ogv" if self is VideoFormat.OGG else self.value

    @property
    def traits(self) -> "Container":
        """What the format can hold."""
        return _VIDEO[self]


class SoundFormat(StrEnum):
    """A file of sound, as AI Server spells it."""

    MP3 = "mp3"
    WAV = "wav"
    AAC = "aac"
    FLAC = "flac"
    OGG = "ogg"
    M4A = "m4a"
    WMA = "wma"

    @property
    def traits(self) -> "Container":
        """What the format can hold."""
        return _SOUND[self]


@dataclass(frozen=True)
class VideoEncoder:
    """An encoder of ffmpeg, and how our scale of quality from 1 to 100 becomes its own."""

    name: str
    quality_option: str
    worst: float
    best: float
    options: Mapping[str, str] = field(default_factory=dict)

    def quality(self, percent: int) -> str:
        """Give the encoder's own number."""
        return f"{self.worst + (self.best - self.worst) * percent / 100:.0f}"


@dataclass(frozen=True)
class AudioEncoder:
    """An encoder of ffmpeg, and its bounds where ffmpeg does not know them by itself."""

    name: str
    kbps_per_channel: int | None = None
    """Unless asked otherwise; None where it is lossless."""
    max_channels: int = 8
    min_sample_rate: int = 0
    max_sample_rate: int = 192_000


@dataclass(frozen=True)
class Container:
    """What a format holds as it is, and how the rest is encoded for it."""

    muxer: str
    audio_encoder: AudioEncoder
    audio: frozenset[str]
    """Codecs that are copied; so are those of `video` and `subtitles`."""
    video_encoder: VideoEncoder | None = None
    video: frozenset[str] = frozenset()
    subtitles: frozenset[str] = frozenset()
    subtitle_encoder: str | None = None
    """For those that are text."""
    turns: bool = False
    """Whether it can say that a player should turn the video."""
    options: Mapping[str, str] = field(default_factory=dict)


TEXT_SUBTITLES = frozenset({"subrip", "ass", "ssa", "webvtt", "mov_text", "text"})

_X264 = VideoEncoder("libx264", "crf", 51, 4, {"preset": "veryfast"})
_VP9 = VideoEncoder("libvpx-vp9", "crf", 63, 4, {"deadline": "realtime", "cpu-used": "6", "row-mt": "1"})
# Frames that build on others drift with libtheora: down to 23 dB where its first ones have 41.
_THEORA = VideoEncoder("libtheora", "q", 0, 10, {"g": "1"})
_MPEG4 = VideoEncoder("mpeg4", "q", 31, 1)
_MPEG2 = VideoEncoder("mpeg2video", "q", 31, 1)
_WMV = VideoEncoder("wmv2", "q", 31, 1)

_AAC = AudioEncoder("aac", 96)
_OPUS = AudioEncoder("libopus", 64)
_VORBIS = AudioEncoder("libvorbis", 80, min_sample_rate=8_000)
_MP3 = AudioEncoder("libmp3lame", 96, max_channels=2)
_MP2 = AudioEncoder("mp2", 96, max_channels=2)
_WMA = AudioEncoder("wmav2", 96, max_channels=2, max_sample_rate=48_000)

_ISO_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_PCM = frozenset({"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8"})
_WMA_CODECS = frozenset({"wmav1", "wmav2", "wmapro"})
_XIPH_AUDIO = frozenset({"vorbis", "opus", "flac"})
_FAST_START = {"movflags": "+faststart"}

_VIDEO = {
    VideoFormat.MP4: Container(
        "mp4",
        _AAC,
        _ISO_AUDIO,
        _X264,
        frozenset({"h264", "hevc", "av1", "vp9", "mpeg4"}),
        frozenset({"mov_text"}),
        "mov_text",
        turns=True,
        options=_FAST_START,
    ),
    VideoFormat.MOV: Container(
        "mov",
        _AAC,
        _ISO_AUDIO | {"pcm_s16le", "pcm_s24le"},
        _X264,
        frozenset({"h264", "hevc", "mpeg4", "prores", "mjpeg"}),
        frozenset({"mov_text"}),
        "mov_text",
        turns=True,
        options=_FAST_START,
    ),
    VideoFormat.WEBM: Container(
        "webm",
        _OPUS,
        frozenset({"opus", "vorbis"}),
        _VP9,
        frozenset({"vp8", "vp9", "av1"}),
        frozenset({"webvtt"}),
        "webvtt",
    ),
    VideoFormat.MKV: Container(
        "matroska",
        _AAC,
        _ISO_AUDIO | _PCM | _XIPH_AUDIO | {"mp2", "dts", "truehd"},
        _X264,
        frozenset(
            {"h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "mpeg1video", "mpeg2video", "theora", "prores"}
            | {"mjpeg", "ffv1", "vc1", "wmv3"}
        ),
        frozenset({"subrip", "ass", "webvtt", "dvd_subtitle", "hdmv_pgs_subtitle"}),
        "subrip",
    ),
    VideoFormat.AVI: Container(
        "avi",
        _MP3,
        frozenset({"mp3", "ac3", "pcm_s16le"}),
        _MPEG4,
        frozenset({"mpeg4", "mjpeg", "msmpeg4v2", "msmpeg4v3"}),
    ),
    VideoFormat.WMV: Container(
        "asf", _WMA, _WMA_CODECS, _WMV, frozenset({"wmv1", "wmv2", "wmv3", "vc1", "msmpeg4v3"})
    ),
    VideoFormat.MPEG: Container(
        "vob", _MP2, frozenset({"mp2", "ac3"}), _MPEG2, frozenset({"mpeg1video", "mpeg2video"})
    ),
    VideoFormat.OGG: Container("ogg", _VORBIS, _XIPH_AUDIO, _THEORA, frozenset({"theora"})),
}

_SOUND = {
    SoundFormat.MP3: Container("mp3", _MP3, frozenset({"mp3"})),
    SoundFormat.WAV: Container("wav", AudioEncoder("pcm_s16le"), _PCM),
    SoundFormat.AAC: Container("adts", _AAC, frozenset({"aac"})),
    SoundFormat.FLAC: Container("flac", AudioEncoder("flac"), frozenset({"flac"})),
    SoundFormat.OGG: Container("ogg", _VORBIS, _XIPH_AUDIO),
    SoundFormat.M4A: Container("ipod", _AAC, frozenset({"aac", "alac"}), options=_FAST_START),
    SoundFormat.WMA: Container("asf", _WMA, _WMA_CODECS),
}
