"""Reads what is in a media file; the work of the children of `reading_server`, so it imports PyAV alone."""

import json
import os
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


def read(number: str, demuxer: str, decoders: str) -> dict[str, Any]:
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
        videos = [each for each in container.streams.video if not _is_cover(each)]
        described = [_video(each, _first_frame(container, each) if n == 0 else None)
                     for n, each in enumerate(videos)]  # fmt: skip
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


def _first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    return next(container.decode(stream), None)


def _track(stream: Any) -> dict[str, Any]:
    context = stream.codec_context
    return {
        "index": stream.index,
        "codec": context.codec.canonical_name if context else "unknown",
        "language": stream.language,
    }


def _audio(stream: AudioStream) -> dict[str, Any]:
    return {
        **_track(stream),
        "channels": stream.channels,
        "sample_rate": stream.sample_rate,
        "duration_s": _length_s(stream),
    }


def _length_s(stream: VideoStream | AudioStream) -> float | None:
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None


def _video(stream: VideoStream, frame: VideoFrame | None) -> dict[str, Any]:
    average, guessed = stream.average_rate or Fraction(0), stream.guessed_rate or Fraction(0)
    width, height = (frame.width, frame.height) if frame else (stream.width, stream.height)
    rotation = round(frame.rotation) % 360 if frame else 0
    if rotation in (90, 270):
        width, height = height, width
    described = {
        **_track(stream),
        "width": width,
        "height": height,
        "rotation": rotation,
        "fps": float(average or guessed),
        "duration_s": _length_s(stream),
        "has_variable_rate": abs(average - guessed) > guessed / 100,
    }
    if frame is None:
        return described
    return {
        **described,
        "pixel_format": frame.format.name,
        "bit_depth": max((each.bits for each in frame.format.components), default=8),
        "matrix": _MATRICES.get(int(frame.colorspace), ""),
        "hdr": _HDR.get(int(frame.color_trc)),
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


def answer(number: str, demuxer: str, decoders: str) -> bytes:
    """Tell what is in a file in one line of JSON.

    Args:
        number: of the open file.
        demuxer: ffmpeg's name of its container.
        decoders: that may be used.

    Returns:
        The fields of `pipelines.media.info.MediaInfo`, or ``{"fault": …}``.
    """
    try:
        info = read(number, demuxer, decoders)
    except (av.error.FFmpegError, ValueError, ArithmeticError) as error:
        info = {"fault": getattr(error, "strerror", None) or str(error)}
    return json.dumps(info).encode() + b"\n"
