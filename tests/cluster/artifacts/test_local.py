import os
import pickle
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from stat import S_IMODE

import pytest

from cluster.artifacts.local import LocalArtifactStore
from cluster.artifacts.store import Area, ArtifactNotFound, ArtifactStore
from tests.cluster.artifacts.contract import NOON, RESULT_KEY, ArtifactStoreContract, fail_after_writing


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "artifacts"


@pytest.fixture
def store(root: Path) -> ArtifactStore:
    return LocalArtifactStore(root, clock=lambda: NOON)


class TestContract(ArtifactStoreContract):
    pass


def _files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def _store_words(store: ArtifactStore) -> str:
    with store.create(area=Area.RESULT, owner="0", extension="txt") as writer:
        writer.file.write(b"words")
    return writer.key


def test_only_the_finished_file_remains(store: ArtifactStore, root: Path) -> None:
    _store_words(store)
    assert _files(root) == [RESULT_KEY]


def test_no_draft_remains_of_what_failed(store: ArtifactStore, root: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        store.create(area=Area.RESULT, owner="0", extension="txt") as writer,
    ):
        fail_after_writing(writer)
    assert _files(root) == []


def test_others_may_read_files_and_folders_whatever_the_umask_is(root: Path) -> None:
    before = os.umask(0o077)
    try:
        key = _store_words(LocalArtifactStore(root, clock=lambda: NOON))
    finally:
        os.umask(before)
    assert S_IMODE((root / key).stat().st_mode) == 0o644
    assert S_IMODE(root.stat().st_mode) == 0o755
    assert {S_IMODE(path.stat().st_mode) for path in (root / "2026").rglob("*") if path.is_dir()} == {0o755}


def test_a_process_that_is_killed_leaves_no_visible_file(root: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from cluster.artifacts.local import LocalArtifactStore; from cluster.artifacts.store import Area\n"
        "store = LocalArtifactStore(Path(sys.argv[1]))\n"
        "with store.create(area=Area.RESULT, owner='0', extension='txt') as writer:\n"
        "    writer.file.write(b'words'); writer.file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(root)], check=False)
    assert [name.split("/")[0] for name in _files(root)] == [".drafts"]


def test_drafts_of_the_dead_are_cleared_at_the_start_and_those_of_the_living_kept(root: Path) -> None:
    store = LocalArtifactStore(root)
    with store.create(area=Area.RESULT, owner="0", extension="txt") as writer:
        (held,) = _files(root)
        ages = {"old": timedelta(days=2), "dead": timedelta(minutes=1), "young": timedelta(seconds=1)}
        for name, age in {Path(held).name: timedelta(hours=1), **ages}.items():
            draft = root / ".drafts" / name
            draft.touch()
            os.utime(draft, times=(0, (NOON - age).timestamp()))
        LocalArtifactStore(root, clock=lambda: NOON)
        assert _files(root) == sorted([held, ".drafts/young"])
        writer.file.write(b"words")
    assert store.stat(writer.key).size_bytes == 5


def test_a_file_that_was_cut_short_is_made_good_by_the_same_content(store: ArtifactStore, root: Path) -> None:
    key = _store_words(store)
    (root / key).write_bytes(b"wo")
    assert _store_words(store) == key
    assert (root / key).read_bytes() == b"words"


@pytest.mark.parametrize("link", ["2026", "2026/11/23/0", RESULT_KEY])
def test_a_symlink_does_not_lead_out_of_the_store(
    store: ArtifactStore, root: Path, tmp_path: Path, link: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    secret = elsewhere / Path(RESULT_KEY).relative_to(link) if link != RESULT_KEY else elsewhere
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_bytes(b"secret")
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(elsewhere)
    with pytest.raises(ArtifactNotFound):
        store.stat(RESULT_KEY)
    with pytest.raises(ArtifactNotFound):
        next(store.read(RESULT_KEY, 0, 6, 6))
    assert store.delete(RESULT_KEY) is False
    assert secret.read_bytes() == b"secret"


def test_a_folder_is_not_a_file(store: ArtifactStore, root: Path) -> None:
    (root / RESULT_KEY).mkdir(parents=True)
    with pytest.raises(ArtifactNotFound):
        store.stat(RESULT_KEY)
    with pytest.raises(ArtifactNotFound):
        next(store.read(RESULT_KEY, 0, 1, 1))


def test_the_store_survives_its_folder(store: ArtifactStore, root: Path) -> None:
    shutil.rmtree(root)
    assert _store_words(store) == RESULT_KEY


def test_the_root_may_be_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "artifacts").symlink_to(tmp_path / "disk")
    store = LocalArtifactStore(tmp_path / "artifacts", clock=lambda: NOON)
    assert store.stat(_store_words(store)).size_bytes == 5


def test_a_store_travels_to_other_processes(root: Path) -> None:
    key = _store_words(LocalArtifactStore(root))
    assert pickle.loads(pickle.dumps(LocalArtifactStore(root))).stat(key).size_bytes == 5


def test_other_errors_of_the_disk_keep_their_name(store: ArtifactStore) -> None:
    with (
        pytest.raises(IsADirectoryError),
        store.create(area=Area.RESULT, owner="0", extension="txt"),
    ):
        os.open("/", os.O_WRONLY)
