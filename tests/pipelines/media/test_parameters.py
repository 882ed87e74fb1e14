"""Every combination of a transform's parameters gives what it asks for, or an error that names a field."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from pipelines.errors import InvalidInput, PipelineError
from pipelines.images import PictureFormat
from pipelines.media import SoundFormat, VideoFormat
from pipelines.transforms import TRANSFORMS
from pipelines.transforms.stamps import WatermarkPosition
from pipelines.transforms.trim_video import TrimMode
from tests.fakes import FolderWorkspace
from tests.pipelines.media.clips import make, transform

FACTOR = int(os.environ.get("HYPOTHESIS_FACTOR", "1"))
WIDTH, HEIGHT, FPS, LENGTH_S = 64, 48, 10, 0.4
VIDEO = ("-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FPS}:duration={LENGTH_S}")
TONE = ("-f", "lavfi", "-i", f"sine=frequency=440:duration={LENGTH_S}")
SECRET = ("-metadata", "title=secret")

Fields = Mapping[str, Any]

_SIDE = st.integers(2, 130)
_PLACE = st.integers(0, 70)
_VIDEO_FIELDS = {
    "output_format": st.sampled_from(VideoFormat),
    "quality": st.integers(1, 100),
    "video_kbps": st.integers(16, 2_000) | st.just(200_000),
    "audio_kbps": st.integers(8, 1_024),
    "fps": st.floats(1, 240) | st.sampled_from([1, 12.5, 23.976, 29.97, 240]),
    "audio": st.booleans(),
    "keep_metadata": st.booleans(),
}
_PICTURE_FIELDS = {"output_format": st.sampled_from(PictureFormat), "quality": st.integers(1, 100)}
_SOUND_FIELDS = {
    "output_format": st.sampled_from(SoundFormat),
    "audio_kbps": st.integers(8, 1_024),
    "track": st.integers(0, 1),
    "keep_metadata": st.booleans(),
}
_MARK_FIELDS = {
    "position": st.sampled_from(WatermarkPosition),
    "opacity": st.floats(0, 1),
    "watermark_scale": st.floats(0, 1, exclude_min=True),
}
_PART = {"x": _PLACE, "y": _PLACE, "width": _SIDE, "height": _SIDE}
_BOX = {"width": _SIDE, "height": _SIDE}
_MOMENT = st.floats(0, 0.5)

FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "scale-image": {**_PICTURE_FIELDS, **_BOX},
    "crop-image": {**_PICTURE_FIELDS, **_PART},
    "watermark-image": {**_PICTURE_FIELDS, **_MARK_FIELDS},
    "convert-image": _PICTURE_FIELDS,
    "scale-video": {**_VIDEO_FIELDS, **_BOX},
    "crop-video": {**_VIDEO_FIELDS, **_PART},
    "watermark-video": {**_VIDEO_FIELDS, **_MARK_FIELDS},
    "convert-video": _VIDEO_FIELDS,
    "trim-video": {**_VIDEO_FIELDS, "start_s": _MOMENT, "end_s": _MOMENT, "mode": st.sampled_from(TrimMode)},
    "thumbnail-video": {**_PICTURE_FIELDS, **_BOX, "time_s": _MOMENT},
    "convert-audio": _SOUND_FIELDS,
    "extract-audio": _SOUND_FIELDS,
    "probe-media": {},
}
"""What each transform takes beside its files."""
FILES = {"image": ["picture.png"], "watermark": ["mark.png"], "video": ["clip.mp4", "other.webm", "odd.mkv"],
         "audio": ["clip.mp4", "tone.wav"], "media": ["clip.mp4", "tone.wav"]}  # fmt: skip
NONSENSE = st.sampled_from(
    [None, -1, 0, 1, 3, 0.5, 1.5, 101, 1_025, 7_681, 32_001, 10**9, 1e300, float("nan"), float("inf"), "", "32", "x"]
)

quickly = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> FolderWorkspace:
    """A folder with small files."""
    folder = tmp_path_factory.mktemp("parameters")
    make(folder / "clip.mp4", *VIDEO, *TONE, "-c:v", "libx264", "-pix_fmt", "yuv420p", *SECRET)
    make(folder / "other.webm", *VIDEO, *TONE, "-c:v", "libvpx", "-c:a", "libopus", "-ac", "2", *SECRET)
    make(folder / "odd.mkv", *VIDEO, "-vf", "crop=63:47:0:0", "-c:v", "ffv1", *SECRET)
    make(folder / "tone.wav", *TONE, *SECRET)
    Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB").save(folder / "picture.png")
    Image.new("RGBA", (20, 10), "red").save(folder / "mark.png")
    return FolderWorkspace(folder)


def requests(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Make requests whose fields are each within their bounds; together they may still ask for too much."""
    model = TRANSFORMS[name].request.model_fields
    values = {**FIELDS[name], **{field: st.sampled_from(files) for field, files in FILES.items() if field in model}}
    needed = {field: value for field, value in values.items() if model[field].is_required()}
    return st.fixed_dictionaries(
        needed, optional={field: value for field, value in values.items() if field not in needed}
    )


def wrong_requests(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Make requests with nonsense in one field or two."""
    some = st.dictionaries(st.sampled_from([*FIELDS[name]]), NONSENSE, min_size=1, max_size=2)
    return st.builds(lambda fields, nonsense: {**fields, **nonsense}, requests(name), some)


def test_every_field_is_tried() -> None:
    for name, operation in TRANSFORMS.items():
        assert {*FIELDS[name], *FILES, "provider", "model"} >= operation.request.model_fields.keys()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_requests_that_make_sense(space: FolderWorkspace, name: str) -> None:
    @given(fields=requests(name))
    @settings(quickly, max_examples=12 * FACTOR)
    def check(fields: dict[str, Any]) -> None:
        print(name, fields)
        refusal = REFUSALS.get(name, lambda _: None)(fields)
        try:
            result = transform(space, name, **fields)
        except PipelineError as error:
            print(error)
            if not refusal: raise
        else:
            print(result)
            assert not refusal

    check()
REFUSALS={}
