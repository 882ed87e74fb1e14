from pathlib import Path

import pytest

from tests.fakes import FolderWorkspace
from tests.pipelines.media.clips import FRACTAL, PICTURE, TONE, X264, make


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small clips."""
    folder = tmp_path_factory.mktemp("clips")
    make(folder / "clip.mp4", *PICTURE, *TONE, *X264, "-g", "25", "-c:a", "aac", "-metadata", "title=secret")
    make(folder / "silent.mp4", *FRACTAL, "-t", "1", *X264)
    make(folder / "tone.wav", *TONE)
    return folder


@pytest.fixture
def workspace(tmp_path: Path, clips: Path) -> FolderWorkspace:
    """A workspace in which the clips lie."""
    for clip in clips.iterdir():
        (tmp_path / clip.name).symlink_to(clip)
    return FolderWorkspace(tmp_path)
