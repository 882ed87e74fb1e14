import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stat import S_IMODE
from threading import Barrier

import pytest

from cluster.api_keys import ADMIN_ID, ApiKeys, EmptyKeyFile, load_or_create_admin_key


def test_the_first_start_makes_a_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "data" / "api-key"
    key = load_or_create_admin_key(path)
    assert re.fullmatch(r"ak-[0-9a-f]{32}", key)
    assert path.read_text() == f"{key}\n"
    assert S_IMODE(path.stat().st_mode) == 0o600


def test_the_second_start_finds_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "api-key"
    assert load_or_create_admin_key(path) == load_or_create_admin_key(path)


def test_racing_creators_agree_and_leave_one_file(tmp_path: Path) -> None:
    for attempt in range(20):
        path = tmp_path / str(attempt) / "api-key"
        barrier = Barrier(4)

        def create(path: Path = path, barrier: Barrier = barrier) -> str:
            barrier.wait()
            return load_or_create_admin_key(path)

        with ThreadPoolExecutor(4) as pool:
            keys = {future.result() for future in [pool.submit(create) for _ in range(4)]}
        assert keys == {path.read_text().strip()}
        assert list(path.parent.iterdir()) == [path]


def test_two_servers_have_different_keys(tmp_path: Path) -> None:
    assert load_or_create_admin_key(tmp_path / "a") != load_or_create_admin_key(tmp_path / "b")


async def test_the_right_key_opens_and_has_the_admin_id() -> None:
    found = await ApiKeys("ak-right").find("ak-right")
    assert found is not None
    assert found.id == ADMIN_ID


@pytest.mark.parametrize(
    "presented", ["", "ak-wrong", "ak-righ", "ak-rightx", "AK-RIGHT", "ak-right\n", "ключ"]
)
async def test_a_wrong_key_opens_nothing(presented: str) -> None:
    assert await ApiKeys("ak-right").find(presented) is None


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_key_file_is_refused_with_the_remedy(tmp_path: Path, content: str) -> None:
    path = tmp_path / "api-key"
    path.write_text(content)
    with pytest.raises(EmptyKeyFile, match=r"api-key is empty.*[Dd]elete it"):
        load_or_create_admin_key(path)
