"""Decides for each stream of a file: copied as it is, encoded again, or dropped for want of a place."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.media.bit_rates import nearest_kbps, vorbis_quality
from pipelines.media.formats import TEXT_SUBTITLES, Container, VideoFormat
from pipelines.media.info import AudioStream, MediaInfo, SubtitleStream, VideoStream

_TRANSPARENT = (VideoFormat.WEBM, VideoFormat.MKV, VideoFormat.MOV)
"""Formats that hold a copied video's transparency."""
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
DEFAULT_QUALITY = 70
"""Nobody sees a difference: x264's crf 18."""


@dataclass(frozen=True)
class Wishes:
    """What a request says of the encoding; all may be left open."""

    quality: int | None = None
    video_kbps: int | None = None
    audio_kbps: int | None = None
    fps: float | None = None
    sound: bool = True
    metadata: bool = False
    threads: int = 1


@dataclass
class Plan:
    """What becomes of the streams."""

    streams: list[int] = field(default_factory=list)
    """Indexes of those that go into the result by themselves, not through a filter."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of ffmpeg's output."""
    encodes_video: bool = False
    notes: list[str] = field(default_factory=list)


def plan_video(
    info: MediaInfo, target: VideoFormat, wishes: Wishes, changes_frames: bool, changes_sound: bool
) -> Plan:
    """Plan a video.

    Args:
        info: of the input.
        target: the container of the result.
        wishes: of the request.
        changes_frames: whether frames are edited or cut exactly, so that the video cannot be copied.
        changes_sound: the same of the sound.
    """
    container, video = target.traits, info.video[0]
    plan = Plan(options=_output_options(container, wishes))
    plan.encodes_video = changes_frames or not _can_copy(video, container, wishes)
    if plan.encodes_video:
        plan.options |= _video_options(video, container, wishes)
    else:
        plan.streams.append(video.index)
        plan.options |= {"c:v": "copy"}
        if video.codec == "hevc" and target in (VideoFormat.MP4, VideoFormat.MOV):
            plan.options["tag:v"] = "hvc1"  # the name under which Apple's players know it
    if wishes.sound:
        _plan_audio(plan, info.audio, container, wishes, changes_sound)
    _plan_subtitles(plan, info, container)
    if video.has_alpha and (plan.encodes_video or target not in _TRANSPARENT):
        plan.notes.append("The transparency of the video was dropped.")
    if len(info.video) > 1:
        plan.notes.append(f"The first of {len(info.video)} videos was taken.")
    return plan


def plan_sound(stream: AudioStream, container: Container, wishes: Wishes) -> Plan:
    """Plan a file of one track of sound."""
    plan = Plan(options=_output_options(container, wishes))
    _plan_audio(plan, [stream], container, wishes, changes_sound=False)
    return plan


def _output_options(container: Container, wishes: Wishes) -> dict[str, Any]:
    keep = {} if wishes.metadata else {"map_metadata": -1, "map_chapters": -1, "fflags": "+bitexact"}
    return {"f": container.muxer, "threads": wishes.threads, **container.options, **keep}


def _can_copy(video: VideoStream, container: Container, wishes: Wishes) -> bool:
    return (
        video.codec in container.video
        and (video.rotation == 0 or container.turns)
        and (not video.has_hidden_start or container.turns)  # the same containers know edit lists
        and wishes.quality is None
        and wishes.video_kbps is None
        and wishes.fps is None
    )


def _video_options(video: VideoStream, container: Container, wishes: Wishes) -> dict[str, Any]:
    encoder = container.video_encoder
    assert encoder is not None
    options: dict[str, Any] = {"c:v": encoder.name, **encoder.options}
    if wishes.video_kbps:
        options["b:v"] = f"{wishes.video_kbps}k"
    else:
        options[f"{encoder.quality_option}:v"] = encoder.quality(wishes.quality or DEFAULT_QUALITY)
        if encoder.quality_option == "crf":
            options["b:v"] = 0
    if video.has_variable_rate and container.muxer in ("mp4", "mov", "webm", "matroska"):
        options |= {"enc_time_base:v": "demux", "fps_mode": "vfr"}
    return options


def _plan_audio(
    plan: Plan, streams: Sequence[AudioStream], container: Container, wishes: Wishes, changes_sound: bool
) -> None:
    known = [each for each in streams if each.is_known]
    if dropped := len(streams) - len(known):
        plan.notes.append(
            f"{dropped} of {len(streams)} tracks of sound were dropped: their encoding is unknown."
        )
    for number, stream in enumerate(known):
        plan.streams.append(stream.index)
        plan.options |= _language(f"a:{number}", stream)
        if stream.codec in container.audio and not wishes.audio_kbps and not changes_sound:
            plan.options[f"c:a:{number}"] = "copy"
        else:
            plan.options |= _audio_options(number, stream, container, wishes, plan.notes)


def _audio_options(
    number: int, stream: AudioStream, container: Container, wishes: Wishes, notes: list[str]
) -> dict[str, Any]:
    encoder = container.audio_encoder
    channels = min(stream.channels, encoder.max_channels)
    sample_rate = max(min(stream.sample_rate, encoder.max_sample_rate), encoder.min_sample_rate)
    options: dict[str, Any] = {f"c:a:{number}": encoder.name}
    if encoder.kbps_per_channel:
        asked = wishes.audio_kbps or encoder.kbps_per_channel * channels
        kbps = nearest_kbps(encoder.name, asked, channels, sample_rate)
        if wishes.audio_kbps and kbps != asked:
            notes.append(f"The sound has {kbps} kbit/s: this format has no {asked}.")
        if encoder.name == "libvorbis":
            options[f"q:a:{number}"] = vorbis_quality(kbps, channels)
        else:
            options[f"b:a:{number}"] = f"{kbps}k"
    if channels < stream.channels:
        options[f"ac:a:{number}"] = channels
    if sample_rate != stream.sample_rate:
        options[f"ar:a:{number}"] = sample_rate
    return options


def _language(place: str, stream: AudioStream | SubtitleStream) -> dict[str, str]:
    """Keep the language, which belongs to the content, although metadata is dropped."""
    if stream.language is None or not _LANGUAGE.fullmatch(stream.language):
        return {}
    return {f"metadata:s:{place}": f"language={stream.language}"}


def _plan_subtitles(plan: Plan, info: MediaInfo, container: Container) -> None:
    kept = 0
    for stream in info.subtitles:
        if stream.codec in container.subtitles:
            codec = "copy"
        elif stream.codec in TEXT_SUBTITLES and container.subtitle_encoder:
            codec = container.subtitle_encoder
        else:
            continue
        plan.streams.append(stream.index)
        plan.options |= {f"c:s:{kept}": codec, **_language(f"s:{kept}", stream)}
        kept += 1
    if dropped := len(info.subtitles) - kept:
        plan.notes.append(f"{dropped} of {len(info.subtitles)} subtitles have no place in this format.")
