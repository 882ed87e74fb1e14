"""One small, healthy file of every format that we read."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.pipelines.media.clips import make
from tests.pipelines.transforms.pictures import animated, encoded, flag

_PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=1")
_TONE = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=1")
_SAME_EACH_TIME = ("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact")

_VIDEOS = {
    "mp4": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac"),
    "fast.mp4": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart"),
    "mov": ("-c:v", "mpeg4", "-c:a", "pcm_s16le"),
    "webm": ("-c:v", "libvpx", "-c:a", "libopus"),
    "mkv": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "flac"),
    "avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
    "mpeg": ("-c:v", "mpeg2video", "-r", "25", "-c:a", "mp2"),
    "ogg": ("-c:v", "libtheora", "-c:a", "libvorbis"),
}
_SOUNDS = {
    "mp3": ("-c:a", "libmp3lame"),
    "wav": (),
    "aac": (),
    "flac": (),
    "oga": ("-c:a", "libvorbis"),
    "m4a": (),
    "wma": (),
}
_PICTURES = {
    "png": "PNG",
    "jpg": "JPEG",
    "gif": "GIF",
    "webp": "WEBP",
    "bmp": "BMP",
    "tiff": "TIFF",
    "avif": "AVIF",
}
_ANIMATIONS = {"moving.gif": "GIF", "moving.webp": "WEBP", "moving.png": "PNG"}


@cache
def videos() -> dict[str, bytes]:
    """Give a second of test picture and tone in every format, by the file's name."""
    return {
        f"video.{ending}": _made(f"video.{ending}", *_PICTURE, *_TONE, *codecs, *_SAME_EACH_TIME)
        for ending, codecs in _VIDEOS.items()
    }


@cache
def sounds() -> dict[str, bytes]:
    """Give a second of tone in every format, by the file's name."""
    return {
        f"sound.{ending}": _made(f"sound.{ending}", *_TONE, *codecs, *_SAME_EACH_TIME)
        for ending, codecs in _SOUNDS.items()
    }


@cache
def pictures() -> dict[str, bytes]:
    """Give a small picture in every format, and animations, by the file's name."""
    stills = {f"picture.{ending}": encoded(flag(), format_) for ending, format_ in _PICTURES.items()}
    frames = [
        flag().transpose(turn) for turn in (Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM)
    ]
    moving = {
        name: animated([flag(), *frames], format_, duration=100) for name, format_ in _ANIMATIONS.items()
    }
    return {**stills, **moving}


@cache
def everything() -> dict[str, bytes]:
    """Give all of them."""
    return {**videos(), **sounds(), **pictures()}


def _made(name: str, *arguments: str) -> bytes:
    with TemporaryDirectory() as folder:
        return make(Path(folder, name), *arguments).read_bytes()
