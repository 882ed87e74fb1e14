"""What every artifact store promises; a store's test module inherits this class and gives the fixture."""

import hashlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NoReturn, TypeAlias

import pytest

from cluster.artifacts.store import Area, ArtifactNotFound, ArtifactStore, ArtifactWriter, StoreFull

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SHA256 = hashlib.sha256(b"words").hexdigest()
RESULT_KEY = f"2026/11/23/0/{SHA256}.txt"

Storing: TypeAlias = Callable[[bytes], str]

ODD_KEYS = [
    "",
    "/",
    ".",
    "..",
    "2026",
    "2026/11/23/0",
    f"/{RESULT_KEY}",
    f"./{RESULT_KEY}",
    f"{RESULT_KEY}/",
    f"{RESULT_KEY}\n",
    f"{RESULT_KEY}\0",
    f"../artifacts/{RESULT_KEY}",
    f"2026/11/23/0/../0/{SHA256}.txt",
    f"2026/11/23/../{SHA256}.txt",
    f"2026//11/23/0/{SHA256}.txt",
    f"2026\\11\\23\\0\\{SHA256}.txt",
    f"\uff12\uff10\uff12\uff16/11/23/0/{SHA256}.txt",
    f"2026/11/23/0/{SHA256.upper()}.txt",
    f"2026/11/23/0/{SHA256}",
    f"2026/11/23/0/{SHA256}.",
    f"2026/11/23/0/{SHA256}.t/t",
    f"2026/11/23/0/{SHA256}.TXT",
    f"2026/11/23/0/{SHA256}_.txt",
    f"2026/11/23/0/{SHA256}_../x.txt",
    f"2026/11/23/{'0' * 65}/{SHA256}.txt",
    f"input/{RESULT_KEY}",
    "../../../etc/passwd",
    "/etc/passwd",
    ".drafts/x",
]


def fail_after_writing(writer: ArtifactWriter) -> NoReturn:
    writer.file.write(b"words")
    raise ZeroDivisionError


class ArtifactStoreContract:
    """Tests for a store whose clock stands at `NOON`; the subclass has a fixture ``store``."""

    @pytest.fixture
    def result(self, store: ArtifactStore) -> Storing:
        def stored(data: bytes) -> str:
            with store.create(area=Area.RESULT, owner="0", extension="txt") as writer:
                writer.file.write(data)
            return writer.key

        return stored

    @pytest.fixture
    def upload(self, store: ArtifactStore) -> Storing:
        def stored(data: bytes) -> str:
            with store.create(area=Area.INPUT, owner="0", extension="txt") as writer:
                writer.file.write(data)
            return writer.key

        return stored

    def test_a_result_is_named_by_day_owner_and_content(self, result: Storing) -> None:
        assert result(b"words") == RESULT_KEY

    def test_a_stored_file_can_be_described_and_read(self, store: ArtifactStore, result: Storing) -> None:
        key = result(b"words")
        assert store.stat(key).key == key
        assert store.stat(key).size_bytes == 5
        assert store.stat(key).modified.utcoffset() is not None
        assert store.local_path(key).read_bytes() == b"words"

    def test_an_empty_file_is_a_file(self, store: ArtifactStore, result: Storing) -> None:
        key = result(b"")
        assert store.stat(key).size_bytes == 0
        assert list(store.read(key, 0, 0, 10)) == []

    def test_uploads_of_the_same_content_get_names_that_nobody_can_guess(
        self, store: ArtifactStore, upload: Storing
    ) -> None:
        keys = {upload(b"words"), upload(b"words")}
        assert len(keys) == 2
        for key in keys:
            assert key.startswith("input/2026/11/23/0/")
            assert SHA256 not in key
            assert store.local_path(key).read_bytes() == b"words"

    def test_the_name_fits_the_content_after_the_writer_went_back_to_patch_it(
        self, store: ArtifactStore
    ) -> None:
        with store.create(area=Area.RESULT, owner="0", extension="txt") as writer:
            writer.file.write(b"?ords")
            writer.file.seek(0)
            writer.file.write(b"w")
        assert writer.key == RESULT_KEY

    def test_a_writer_may_close_its_file(self, store: ArtifactStore) -> None:
        with store.create(area=Area.RESULT, owner="0", extension="txt") as writer:
            writer.file.write(b"words")
            writer.file.close()
        assert writer.key == RESULT_KEY

    def test_the_same_content_twice_is_one_file_and_not_written_again(
        self, store: ArtifactStore, result: Storing
    ) -> None:
        first = store.stat(result(b"words"))
        assert store.stat(result(b"words")) == first

    def test_a_key_is_not_known_before_its_block_has_ended(self, store: ArtifactStore) -> None:
        with (
            store.create(area=Area.RESULT, owner="0", extension="txt") as writer,
            pytest.raises(RuntimeError, match="block"),
        ):
            _ = writer.key

    def test_a_block_that_fails_leaves_nothing(self, store: ArtifactStore) -> None:
        with (
            pytest.raises(ZeroDivisionError),
            store.create(area=Area.RESULT, owner="0", extension="txt") as writer,
        ):
            fail_after_writing(writer)
        with pytest.raises(ArtifactNotFound):
            store.stat(RESULT_KEY)

    def test_a_full_disk_is_named(self, store: ArtifactStore) -> None:
        with (
            open("/dev/full", "wb", buffering=0) as full,
            pytest.raises(StoreFull, match="no room"),
            store.create(area=Area.RESULT, owner="0", extension="txt"),
        ):
            full.write(b"words")

    def test_many_writers_of_the_same_content_agree(self, result: Storing) -> None:
        with ThreadPoolExecutor(8) as pool:
            keys = set(pool.map(result, [b"words"] * 40))
        assert keys == {RESULT_KEY}

    def test_any_part_can_be_read_in_chunks(self, store: ArtifactStore, result: Storing) -> None:
        random.seed(1)
        data = random.randbytes(5000)
        key = result(data)
        for _ in range(200):
            start, size, chunk = random.randrange(5001), random.randrange(5001), random.randrange(1, 6000)
            chunks = list(store.read(key, start, size, chunk))
            assert b"".join(chunks) == data[start : start + size]
            assert all(0 < len(piece) <= chunk for piece in chunks)

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_what_is_not_a_key_names_nothing(self, store: ArtifactStore, result: Storing, key: str) -> None:
        result(b"words")
        for ask in (store.stat, store.local_path, lambda key: next(store.read(key, 0, 1, 1))):
            with pytest.raises(ArtifactNotFound):
                ask(key)
        with pytest.raises(ArtifactNotFound):
            store.put_beside(key, "100w.webp", b"")
        assert store.delete(key) is False
        assert store.stat(RESULT_KEY)

    def test_a_key_without_a_file_is_not_found(self, store: ArtifactStore) -> None:
        with pytest.raises(ArtifactNotFound):
            store.stat(RESULT_KEY)
        with pytest.raises(ArtifactNotFound):
            store.local_path(RESULT_KEY)
        with pytest.raises(ArtifactNotFound):
            list(store.read(RESULT_KEY, 0, 1, 1))
        with pytest.raises(ArtifactNotFound):
            store.put_beside(RESULT_KEY, "100w.webp", b"")

    @pytest.mark.parametrize("extension", ["", ".txt", "TXT", "t/t", "..", "t xt", "txt\n", "t\0", "a" * 9])
    def test_an_odd_extension_is_refused(self, store: ArtifactStore, extension: str) -> None:
        with (
            pytest.raises(ValueError, match="extension"),
            store.create(area=Area.RESULT, owner="0", extension=extension),
        ):
            pass

    @pytest.mark.parametrize("owner", ["", "..", "a/b", "a b", "a.b", "a\n"])
    def test_an_odd_owner_is_refused(self, store: ArtifactStore, owner: str) -> None:
        with (
            pytest.raises(ValueError, match="owner"),
            store.create(area=Area.RESULT, owner=owner, extension="txt"),
        ):
            pass

    def test_derived_bytes_lie_beside_their_original(self, store: ArtifactStore, result: Storing) -> None:
        key = store.put_beside(result(b"words"), "100w.webp", b"small")
        assert key == f"2026/11/23/0/{SHA256}_100w.webp"
        assert store.local_path(key).read_bytes() == b"small"

    def test_nothing_lies_beside_an_upload_or_a_derived_file(
        self, store: ArtifactStore, result: Storing, upload: Storing
    ) -> None:
        derived = store.put_beside(result(b"words"), "100w.webp", b"small")
        for key in (derived, upload(b"words")):
            with pytest.raises(ArtifactNotFound, match="not an original"):
                store.put_beside(key, "50w.webp", b"smaller")

    @pytest.mark.parametrize("suffix", ["", "100w", "100w.", "../x.webp", "A.webp", "a_b.webp"])
    def test_an_odd_suffix_is_refused(self, store: ArtifactStore, result: Storing, suffix: str) -> None:
        with pytest.raises(ValueError, match="suffix"):
            store.put_beside(result(b"words"), suffix, b"small")

    def test_deleting_removes_the_file_and_what_was_derived_from_it(
        self, store: ArtifactStore, result: Storing
    ) -> None:
        key, other = result(b"words"), result(b"other words")
        derived = store.put_beside(key, "100w.webp", b"small")
        assert store.delete(key) is True
        assert store.delete(key) is False
        assert store.stat(other)
        for gone in (key, derived):
            with pytest.raises(ArtifactNotFound):
                store.stat(gone)

    def test_deleting_a_derived_file_keeps_its_original(self, store: ArtifactStore, result: Storing) -> None:
        key = result(b"words")
        assert store.delete(store.put_beside(key, "100w.webp", b"small")) is True
        assert store.stat(key)

    def test_an_upload_can_be_deleted(self, store: ArtifactStore, upload: Storing) -> None:
        key = upload(b"words")
        assert store.delete(key) is True
        assert store.delete(key) is False
