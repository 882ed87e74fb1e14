from pathlib import Path

import pytest

from tests.fakes import FolderWorkspace


@pytest.fixture
def workspace(tmp_path: Path) -> FolderWorkspace:
    return FolderWorkspace(tmp_path)
