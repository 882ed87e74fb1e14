"""Reads what is in a media file; the work of the children of `reading_server`, so it imports PyAV alone."""

import json
import os
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_HDR = {16: "PQ", 18: "HLG"}
_MATRICES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc"}
_TIMEOUT_S = 30.0
_BARE_FRAMES = ("aac", "amr", "mp3", "mpegvideo")
"""Formats without a table of contents: libav guesses their length, and may be far off."""
_MAX_LANGUAGE = 16


class UnreadableError(Exception):
    """Tells in our words why a file cannot be read; libav's say nothing to who sent it."""


def read(number: str, demuxer: str, decoders: str, max_pixels: int, max_streams: int) -> dict[str, Any]:
    """Open the file by its descriptor, from which ffmpeg cannot get to any other file."""
    options = {
        "fd": number,
        "protocol_whitelist": "fd",
        "format_whitelist": demuxer,
        "codec_whitelist": decoders,
    }
    with av.open(
        "fd:", format=demuxer, container_options=options, metadata_errors="ignore", timeout=_TIMEOUT_S
    ) as container:
        if len(container.streams) > max_streams:
            return {"format": demuxer, "streams": len(container.streams)}
        if not container.streams.video and container.streams.audio and not _sounds(container):
            raise UnreadableError("nothing of its sound can be decoded")
        videos = [each for each in container.streams.video if not _is_cover(each)]
        start = _start(container, videos[0], max_pixels) if videos else {}
        described = [_video(each) for each in videos]
        described[:1] = [_video(each) | start for each in videos[:1]]
        return {
            "format": container.format.name,
            "duration_s": _duration_s(container),
            "size_bytes": os.fstat(int(number)).st_size,
            "bit_rate": container.bit_rate or None,
            "video": described,
            "audio": [_audio(each) for each in container.streams.audio],
            "subtitles": [_track(each) for each in container.streams.subtitles],
            "streams": len(container.streams),
        }


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & stream.disposition.__class__.attached_pic)


def _start(container: InputContainer, stream: VideoStream, max_pixels: int) -> dict[str, Any]:
    """Decode up to the first frame, which knows more than the headers do."""
    if stream.codec_context is None or stream.width * stream.height > max_pixels:
        return {}
    is_hidden = None
    for packet in container.demux(stream):
        if is_hidden is None:
            is_hidden = packet.is_discard
        for frame in packet.decode():
            return _frame(stream, frame) | {"has_hidden_start": is_hidden}
    return {}


def _sounds(container: InputContainer) -> bool:
    """Tell whether anything can be heard: what is only copied would be as damaged as the file."""
    for packet in container.demux(container.streams.audio[0]):
        with suppress(av.error.FFmpegError):
            if packet.decode():
                return True
    return False


def _track(stream: Any) -> dict[str, Any]:
    context = stream.codec_context
    return {
        "index": stream.index,
        "codec": context.codec.canonical_name if context else "unknown",
        "language": stream.language[:_MAX_LANGUAGE] if stream.language else None,
    }


def _audio(stream: AudioStream) -> dict[str, Any]:
    context = stream.codec_context  # None where no decoder is known
    return {
        **_track(stream),
        "channels": context.channels if context else 0,
        "sample_rate": context.sample_rate if context else 0,
        "duration_s": _length_s(stream),
    }


def _length_s(stream: VideoStream | AudioStream) -> float | None:
    if stream.container.format.name in _BARE_FRAMES:
        return None
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None


def _video(stream: VideoStream) -> dict[str, Any]:
    average, guessed = stream.average_rate or Fraction(0), stream.guessed_rate or Fraction(0)
    context = stream.codec_context  # None where no decoder is known
    return {
        **_track(stream),
        "width": context.width if context else 0,
        "height": context.height if context else 0,
        "fps": float(average or guessed),
        "duration_s": _length_s(stream),
        "has_variable_rate": abs(average - guessed) > guessed / 100,
    }


def _frame(stream: VideoStream, frame: VideoFrame) -> dict[str, Any]:
    width, height = frame.width, frame.height
    rotation = round(frame.rotation) % 360
    if rotation in (90, 270):
        width, height = height, width
    return {
        "width": width,
        "height": height,
        "rotation": rotation,
        "pixel_format": frame.format.name,
        "bit_depth": max((each.bits for each in frame.format.components), default=8),
        "matrix": _MATRICES.get(int(frame.colorspace), ""),
        "hdr": _HDR.get(int(frame.color_trc)),
        "is_interlaced": frame.interlaced_frame,
        # libav's own decoder of VP9 leaves the transparency out, but Matroska says that there is some.
        "has_alpha": any(each.is_alpha for each in frame.format.components)
        or stream.metadata.get("alpha_mode") == "1",
    }


def _duration_s(container: InputContainer) -> float | None:
    if container.duration:
        return container.duration / 1_000_000
    lengths = [
        float(each.duration * each.time_base)
        for each in container.streams
        if each.duration and each.time_base
    ]
    return max(lengths) if lengths else _last_moment_s(container)


def _last_moment_s(container: InputContainer) -> float | None:
    """Look through the file: recordings of browsers do not say how long they are."""
    container.seek(0)
    end = 0.0
    for packet in container.demux():
        if packet.pts is not None and packet.time_base:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return end or None


def answer(number: str, demuxer: str, decoders: str, max_pixels: int, max_streams: int) -> bytes:
    """Tell what is in a file in one line of JSON.

    Args:
        number: of the open file.
        demuxer: ffmpeg's name of its container.
        decoders: that may be used.
        max_pixels: of a frame; one that has more is not decoded.
        max_streams: where there are more, they are only counted.

    Returns:
        The fields of `pipelines.media.info.MediaInfo`, or ``{"fault": libav's words, "reason": ours}``.
    """
    try:
        info = read(number, demuxer, decoders, max_pixels, max_streams)
    except UnreadableError as error:
        info = {"fault": "", "reason": str(error)}
    except (av.error.FFmpegError, ValueError, ArithmeticError) as error:
        info = {"fault": getattr(error, "strerror", None) or str(error)}
    return json.dumps(info).encode() + b"\n"
