"""What is asked of damaged files: every operation that takes files of a kind, in turn."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from pipelines.images import PictureFormat
from pipelines.media import SoundFormat, VideoFormat
from tests.hostile.damage import DAMAGES
from tests.hostile.seeds import pictures, sounds, videos

SEED = 6


@dataclass(frozen=True)
class Ask:
    """A request that takes a file."""

    path: str
    field: str
    """In which the file goes."""
    data: Mapping[str, str]
    beside: str | None = None
    """A field whose file is healthy."""
    model: bool = False
    """Whether a model does it, which not every server has."""


@dataclass(frozen=True)
class Case:
    """A damaged file, and what is asked of it."""

    number: int
    ask: Ask
    name: str
    """Of the healthy file."""
    damage: str
    content: bytes

    @property
    def files(self) -> dict[str, tuple[str, bytes]]:
        """The files of the form."""
        files = {self.ask.field: (self.name, self.content)}
        if beside := self.ask.beside:
            healthy = "picture.png" if beside in ("image", "watermark", "mask") else "video.mp4"
            files[beside] = (healthy, {**pictures(), **videos()}[healthy])
        return files

    def __str__(self) -> str:
        return f"case {self.number}: {self.damage} {self.name} to {self.ask.path} as {self.ask.field}"


def cases(count: int, with_models: bool = False, seed: int = SEED) -> Iterator[Case]:
    """Give so many cases, every format and every operation in turn; always the same ones."""
    kinds = (
        [(name, data, _video_asks) for name, data in videos().items()]
        + [(name, data, _sound_asks) for name, data in sounds().items()]
        + [(name, data, _picture_asks) for name, data in pictures().items()]
    )
    for number in range(count):
        random = Random(f"{seed}-{number}")
        turn, place = divmod(number, len(kinds))
        name, data, asks_of = kinds[place]
        asks = [each for each in asks_of(random) if with_models or not each.model]
        damage = random.choice(DAMAGES)
        yield Case(number, asks[(turn + place) % len(asks)], name, damage.__name__, damage(data, random))


def _video_asks(random: Random) -> list[Ask]:
    target = {"outputFormat": random.choice([*VideoFormat])}
    mode = {"mode": random.choice(("exact", "keyframe"))}
    return [
        Ask("/api/ScaleVideo", "video", {"width": "32"}),
        Ask("/api/CropVideo", "video", {"x": "2", "y": "3", "width": "32", "height": "24"}),
        Ask("/api/WatermarkVideo", "video", {"opacity": "0.5"}, beside="watermark"),
        Ask("/api/ConvertVideo", "video", target),
        Ask("/api/TrimVideo", "video", {"startTime": "0.1", "endTime": "0.4", **mode}),
        Ask("/api/ExtractAudio", "video", {}),
        Ask("/api/ThumbnailVideo", "video", {"width": "32"}),
        Ask("/api/ProbeMedia", "media", {}),
        Ask("/api/ConvertAudio", "audio", {"outputFormat": random.choice([*SoundFormat])}),
        Ask("/api/ScaleVideo", "video", {"height": "24", "mute": "true", **target}),
    ]


def _sound_asks(random: Random) -> list[Ask]:
    target = {"outputFormat": random.choice([*SoundFormat])}
    return [
        Ask("/api/ConvertAudio", "audio", target),
        Ask("/api/ConvertAudio", "audio", {**target, "audioKbps": "64"}),
        Ask("/api/ExtractAudio", "video", {}),
        Ask("/api/ProbeMedia", "media", {}),
        Ask("/api/ConvertVideo", "video", {"outputFormat": "mp4"}),
        Ask("/api/SpeechToText", "audio", {"model": "whisper-tiny-en"}, model=True),
        Ask("/v1/audio/transcriptions", "file", {"model": "whisper-tiny-en"}, model=True),
    ]


def _picture_asks(random: Random) -> list[Ask]:
    target = {"outputFormat": random.choice([*PictureFormat])}
    return [
        Ask("/api/ScaleImage", "image", {"width": "32"}),
        Ask("/api/CropImage", "image", {"x": "1", "y": "2", "width": "20", "height": "10", **target}),
        Ask("/api/WatermarkImage", "image", target, beside="watermark"),
        Ask("/api/WatermarkImage", "watermark", {}, beside="image"),
        Ask("/api/ConvertImage", "image", target),
        Ask("/api/WatermarkVideo", "watermark", {}, beside="video"),
        Ask("/api/ImageToText", "image", {"model": "picture-reader"}, model=True),
        Ask("/api/ImageUpscale", "image", {"model": "real-esrgan"}, model=True),
        Ask("/v1/images/edits", "image", {"model": "tiny-sdxl", "prompt": "a cat"}, model=True),
    ]
