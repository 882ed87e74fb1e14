"""Files of sound and video: sniffed, probed, and processed by ffmpeg in processes with limits."""

from pipelines.media.ffmpeg import run_ffmpeg
from pipelines.media.formats import SoundFormat, VideoFormat
from pipelines.media.info import AudioStream, MediaInfo, SubtitleStream, VideoStream
from pipelines.media.sources import MediaSource, open_media

__all__ = [
    "AudioStream",
    "MediaInfo",
    "MediaSource",
    "SoundFormat",
    "SubtitleStream",
    "VideoFormat",
    "VideoStream",
    "open_media",
    "run_ffmpeg",
]
