import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.schema import FolderSource, HubSource, ModelSource, PackageSource
from pipelines.errors import ChecksumMismatch, SourceNotFound
from pipelines.sources import Places, find_weights


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(data_dir=tmp_path, models_dir=tmp_path / "models")


@pytest.fixture
def package(tmp_path: Path) -> Iterator[str]:
    """An importable package that carries split weights, as the Whisper packages do."""
    folder = tmp_path / "site" / "weights_for_test" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "config.json").write_text("{}")
    (folder / "model.bin.part1").write_bytes(b"first-")
    (folder / "model.bin.part2").write_bytes(b"second")
    sys.path.insert(0, str(tmp_path / "site"))
    yield "weights_for_test"
    sys.path.remove(str(tmp_path / "site"))


def split(package: str) -> PackageSource:
    parts = tuple(f"{package}/data/model.bin.part{number}" for number in (1, 2))
    return PackageSource(package=package, path="data", join={"model.bin": parts})


def test_the_first_source_that_exists_wins(places: Places) -> None:
    (places.data_dir / "second").mkdir()
    found = find_weights("m", [FolderSource(folder="first"), FolderSource(folder="second")], {}, places)
    assert found == places.data_dir / "second"


def test_a_model_without_sources_has_no_weights_of_its_own(places: Places) -> None:
    assert find_weights("m", [], {}, places) is None


def test_split_weights_are_joined_once_with_their_neighbours(places: Places, package: str) -> None:
    first = find_weights("m", [split(package)], {}, places)
    assert first is not None
    assert sorted(path.name for path in first.iterdir()) == ["config.json", "model.bin"]
    assert (first / "model.bin").read_bytes() == b"first-second"
    inode = (first / "model.bin").stat().st_ino
    assert find_weights("m", [split(package)], {}, places) == first
    assert (first / "model.bin").stat().st_ino == inode


def test_a_half_assembled_folder_is_made_anew(places: Places, package: str) -> None:
    (places.models_dir / "m").mkdir(parents=True)
    (places.models_dir / "m" / "model.bin").write_bytes(b"first-")
    found = find_weights("m", [split(package)], {}, places)
    assert found is not None
    assert (found / "model.bin").read_bytes() == b"first-second"


def test_the_right_digest_passes_and_is_checked_once(places: Places, package: str) -> None:
    digests = {"model.bin": hashlib.sha256(b"first-second").hexdigest()}
    assert find_weights("m", [split(package)], digests, places)
    assert len(list(places.models_dir.glob(".model.bin-*.verified"))) == 1


def test_changed_weights_are_refused(places: Places, package: str) -> None:
    with pytest.raises(ChecksumMismatch, match="the configuration says 0000"):
        find_weights("m", [split(package)], {"model.bin": "0" * 64}, places)


def test_weights_that_changed_after_they_were_verified_are_refused(places: Places) -> None:
    weights = places.data_dir / "voice.onnx"
    weights.write_bytes(b"right")
    digests = {"voice.onnx": hashlib.sha256(b"right").hexdigest()}
    assert find_weights("m", [FolderSource(folder="voice.onnx")], digests, places) == weights
    weights.write_bytes(b"wrong!")
    with pytest.raises(ChecksumMismatch):
        find_weights("m", [FolderSource(folder="voice.onnx")], digests, places)


def test_a_named_file_that_is_absent_is_refused(places: Places) -> None:
    (places.data_dir / "w").mkdir()
    with pytest.raises(ChecksumMismatch, match="is missing"):
        find_weights("m", [FolderSource(folder="w")], {"model.bin": "0" * 64}, places)


def test_nowhere_says_where_it_looked_and_what_to_do(places: Places) -> None:
    sources: list[ModelSource] = [FolderSource(folder="w"), PackageSource(package="no_such_package")]
    with pytest.raises(SourceNotFound) as caught:
        find_weights("m", sources, {}, places)
    assert f"folder {places.data_dir / 'w'}" in str(caught.value)
    assert "Install the package that carries no_such_package" in str(caught.value)


def test_a_hub_source_is_not_fetched_unless_allowed(places: Places) -> None:
    with pytest.raises(SourceNotFound, match="Set allow_downloads: true"):
        find_weights("m", [HubSource(hub="a/b", revision="main")], {}, places)
