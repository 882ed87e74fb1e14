"""Makes up requests for every transform, of values within the bounds of each field and of nonsense."""

from typing import Any

from hypothesis import strategies as st

from pipelines.images import PictureFormat
from pipelines.media import SoundFormat, VideoFormat
from pipelines.transforms import TRANSFORMS
from pipelines.transforms.stamps import WatermarkPosition
from pipelines.transforms.trim_video import TrimMode

_SIDE = st.integers(2, 130)
_PLACE = st.integers(0, 70)
_MOMENT = st.floats(0, 0.5)
_BOX = {"width": _SIDE, "height": _SIDE}
_PART = {"x": _PLACE, "y": _PLACE, **_BOX}
_PICTURE = {"output_format": st.sampled_from(PictureFormat), "quality": st.integers(1, 100)}
_VIDEO = {
    "output_format": st.sampled_from(VideoFormat),
    "quality": st.integers(1, 100),
    "video_kbps": st.integers(16, 200_000),
    "audio_kbps": st.integers(8, 1_024),
    "fps": st.floats(1, 240) | st.sampled_from([1, 12.5, 23.976, 29.97, 240]),
    "audio": st.booleans(),
    "keep_metadata": st.booleans(),
}
_SOUND = {
    "output_format": st.sampled_from(SoundFormat),
    "audio_kbps": st.integers(8, 1_024),
    "track": st.integers(0, 1),
    "keep_metadata": st.booleans(),
}
_MARK = {
    "position": st.sampled_from(WatermarkPosition),
    "opacity": st.floats(0, 1),
    "watermark_scale": st.floats(0, 1, exclude_min=True),
}

FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "scale-image": {**_PICTURE, **_BOX},
    "crop-image": {**_PICTURE, **_PART},
    "watermark-image": {**_PICTURE, **_MARK},
    "convert-image": _PICTURE,
    "scale-video": {**_VIDEO, **_BOX},
    "crop-video": {**_VIDEO, **_PART},
    "watermark-video": {**_VIDEO, **_MARK},
    "convert-video": _VIDEO,
    "trim-video": {**_VIDEO, "start_s": _MOMENT, "end_s": _MOMENT, "mode": st.sampled_from(TrimMode)},
    "thumbnail-video": {**_PICTURE, **_BOX, "time_s": _MOMENT},
    "convert-audio": _SOUND,
    "extract-audio": _SOUND,
    "probe-media": {},
}
"""What each transform takes beside its files."""

FILES = {
    "image": ("picture.png",),
    "watermark": ("mark.png",),
    "video": ("clip.mp4", "other.webm", "odd.mkv"),
    "audio": ("clip.mp4", "other.webm", "phone.wav"),
    "media": ("clip.mp4", "odd.mkv", "phone.wav"),
}
"""Field -> the files that it may name."""

_NONSENSE = st.sampled_from(
    [
        None,
        -1,
        0,
        1,
        3,
        0.5,
        101,
        1_025,
        7_681,
        32_001,
        10**9,
        1e300,
        float("nan"),
        float("inf"),
        "",
        "32",
        "x",
    ]
)


def sensible(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Make requests whose fields are each within their bounds; together they may still ask for too much."""
    model = TRANSFORMS[name].request.model_fields
    files = {field: st.sampled_from(names) for field, names in FILES.items() if field in model}
    values = {**files, **FIELDS[name]}
    needed = {field: value for field, value in values.items() if model[field].is_required()}
    optional = {field: value for field, value in values.items() if field not in needed}
    return st.fixed_dictionaries(needed, optional=optional)


def nonsensical(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Make requests with nonsense in a field or two."""
    wrong = st.dictionaries(st.sampled_from([*FIELDS[name]]), _NONSENSE, min_size=1, max_size=2)
    return st.builds(lambda fields, nonsense: {**fields, **nonsense}, sensible(name), wrong)
