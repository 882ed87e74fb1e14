"""Video and sound through ServiceStack's typed client: every operation, at once and queued."""

import io
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import httpx
import pytest

from tests.e2e.test_queue import polled
from tests.e2e.test_servicestack import dtos, picture, typed, upload
from tests.pipelines.media.clips import PICTURE, TONE, X264, make

pytestmark = pytest.mark.e2e

__all__ = ["dtos", "typed"]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two seconds of 160 x 120 with a tone."""
    folder = tmp_path_factory.mktemp("film")
    return make(folder / "film.mp4", *PICTURE, *TONE, *X264, "-g", "5", "-c:a", "aac").read_bytes()


CASES: dict[str, tuple[dict[str, Any], tuple[int, int] | None, str, float]] = {
    "ScaleVideo": ({"width": 80}, (80, 60), ".mp4", 2.0),
    "CropVideo": ({"x": 10, "y": 20, "width": 64, "height": 48}, (64, 48), ".mp4", 2.0),
    "WatermarkVideo": ({"position": "BOTTOM_RIGHT"}, (160, 120), ".mp4", 2.0),
    "ConvertVideo": ({"output_format": "AVI"}, (160, 120), ".avi", 2.0),
    "TrimVideo": ({"start_time": "00:00:00.5", "end_time": "00:00:01.5"}, (160, 120), ".mp4", 1.0),
    "ConvertAudio": ({"output_format": "FLAC"}, None, ".flac", 2.0),
}
"""Operation -> its fields, and the size, the ending and the length of the result."""
ENUMS = {
    ("WatermarkVideo", "position"): "WatermarkPosition",
    ("ConvertVideo", "output_format"): "ConvertVideoOutputFormat",
    ("ConvertAudio", "output_format"): "AudioFormat",
}


def sent(typed: Any, dtos: ModuleType, operation: str, film: bytes, queued: bool) -> Any:
    """Send an operation as the typed client does."""
    fields = dict(CASES[operation][0])
    for (name, field), enum in ENUMS.items():
        if name == operation:
            fields[field] = getattr(dtos, enum)[fields[field]]
    part = "audio" if operation == "ConvertAudio" else "video"
    files = [upload(part, film, "film.mp4", "video/mp4")]
    if operation == "WatermarkVideo":
        files.append(upload("watermark", picture(20, 10, "white"), "w.png", "image/png"))
    prefix, reference = ("Queue", f"typed-{operation}") if queued else ("", None)
    request = getattr(dtos, f"{prefix}{operation}")(**fields, ref_id=reference)
    answer = typed.post_files_with_request(request, files)
    if not queued:
        return answer
    assert answer.ref_id == reference
    return polled(typed, dtos, answer.ref_id)


@pytest.mark.parametrize("queued", [False, True], ids=["at-once", "queued"])
@pytest.mark.parametrize("operation", CASES)
def test_the_typed_client_runs_every_operation(
    typed: Any, dtos: ModuleType, film: bytes, operation: str, queued: bool
) -> None:
    _, size, ending, length_s = CASES[operation]
    (output,) = sent(typed, dtos, operation, film, queued).outputs
    assert Path(output.file_name).suffix == ending
    with av.open(io.BytesIO(httpx.get(output.url).content), "r") as container:
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(length_s, abs=0.1)
        sizes = [(stream.width, stream.height) for stream in container.streams.video]
        assert sizes == ([size] if size else [])
        assert len(container.streams.audio) == 1
