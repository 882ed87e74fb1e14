"""Where the index of an MP4 goes: in front of the frames, so that players may begin before they have all.

ffmpeg knows the index at the end. It either moves everything that it has written (``+faststart``), which
takes as long again as copying did, or writes the index into room that it was told to leave in front.
"""

from typing import Any

from pipelines.media.info import MediaInfo
from pipelines.media.plans import Plan

_WORTH_BYTES = 32 * 1024**2
"""Of a result: what is smaller is moved in no time, and shall not carry room that is left over."""
_PACKET_BYTES, _FIXED_BYTES = 28, 64 * 1024
"""Of the index; a packet takes 13 at a steady rate, and up to 25 with B-frames and changing times."""
_PACKET_SAMPLES = 1024
"""Of sound, as AAC has it."""
_KEYFRAME_S = 10.0
"""So much earlier may a part begin."""


def with_room(plan: Plan, info: MediaInfo, length_s: float | None) -> dict[str, Any] | None:
    """Give the plan's options with room for the index in front; None where it had better be moved.

    Args:
        plan: of the result.
        info: of the input.
        length_s: of the result; None where nobody knows.
    """
    if "movflags" not in plan.options or plan.encodes_video or not length_s or not info.duration_s:
        return None
    seconds = min(length_s + _KEYFRAME_S, info.duration_s)
    if info.size_bytes * seconds / info.duration_s < _WORTH_BYTES:
        return None
    rates = [each.fps for each in info.video if each.index in plan.streams]
    rates += [each.sample_rate / _PACKET_SAMPLES for each in info.audio if each.index in plan.streams]
    room_bytes = int(sum(rates) * seconds) * _PACKET_BYTES + _FIXED_BYTES
    return {name: value for name, value in plan.options.items() if name != "movflags"} | {
        "moov_size": room_bytes
    }
