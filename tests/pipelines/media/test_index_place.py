"""Where the index of a copied video lies."""

import struct
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from pipelines.media import index_place
from tests.fakes import FolderWorkspace
from tests.pipelines.media.clips import TONE, make, packets, transform

_NOISE = ("-f", "lavfi", "-i", "testsrc2=s=640x480:d=2,noise=alls=80:allf=t")
_HEAVY = ("-c:v", "mpeg4", "-q:v", "1", "-g", "5", "-c:a", "aac")
_HEAD_BYTES = 1024**2


@pytest.fixture(scope="module")
def large_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 40 MB, whose own index lies at its end."""
    folder = tmp_path_factory.mktemp("large")
    seed = make(folder / "seed.mp4", *_NOISE, *TONE, *_HEAVY)
    again = ("-stream_loop", "-1", "-i", str(seed), "-c", "copy", "-fs", "40M")
    return make(folder / "large.mp4", *again)


@pytest.fixture
def large(workspace: FolderWorkspace, large_clip: Path) -> str:
    workspace.path("large.mp4").symlink_to(large_clip)
    return "large.mp4"


def boxes(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the kinds and sizes of the outermost boxes of an MP4."""
    with path.open("rb") as file:
        while head := file.read(8):
            size_bytes, kind = struct.unpack(">I4s", head)
            yield kind.decode(), size_bytes
            file.seek(size_bytes - 8, 1)


def _order(path: Path) -> list[str]:
    return [kind for kind, _ in boxes(path) if kind in ("moov", "mdat")]


def _unused_bytes(path: Path) -> int:
    return sum(size_bytes for kind, size_bytes in boxes(path) if kind in ("free", "wide"))


def test_a_large_copy_is_written_once(workspace: FolderWorkspace, large: str) -> None:
    """The room that is left over shows that nothing was moved."""
    result = transform(workspace, "trim-video", video=large, start_s=0.3, mode="keyframe")
    path = workspace.path(result.video)
    assert _order(path) == ["moov", "mdat"]
    assert 8 < _unused_bytes(path) < 128 * 1024
    for index in (0, 1):
        whole = packets(workspace.path(large), index)
        part = packets(path, index)
        assert whole[-len(part) :] == part


@pytest.mark.parametrize("fields", [{"output_format": "mov"}, {"output_format": "mp4", "audio": False}])
def test_a_large_copy_plays_from_its_first_bytes(
    workspace: FolderWorkspace, large: str, fields: dict[str, object]
) -> None:
    result = transform(workspace, "convert-video", video=large, **fields)
    with workspace.path(result.video).open("rb") as file:
        workspace.add(file.read(_HEAD_BYTES), "head.mp4")
    with av.open(str(workspace.path("head.mp4"))) as container:
        assert next(container.decode(video=0)).width == 640
        assert container.duration == pytest.approx(1_000_000 * result.duration_s, abs=100_000)


def test_too_little_room(workspace: FolderWorkspace, large: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_place, "_PACKET_BYTES", 1)
    monkeypatch.setattr(index_place, "_FIXED_BYTES", 0)
    result = transform(workspace, "convert-video", video=large, output_format="mov")
    path = workspace.path(result.video)
    assert _order(path) == ["moov", "mdat"]
    assert packets(path, 0) == packets(workspace.path(large), 0)


def test_a_small_copy_carries_no_room(workspace: FolderWorkspace) -> None:
    result = transform(workspace, "convert-video", video="clip.mp4", output_format="mov")
    path = workspace.path(result.video)
    assert _order(path) == ["moov", "mdat"]
    assert _unused_bytes(path) == 8
