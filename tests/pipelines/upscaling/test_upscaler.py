import resource
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import psutil
import pytest
import torch
from PIL import Image

from pipelines.errors import Cancelled, OutOfMemory
from pipelines.upscaling.networks import BLUEPRINTS, NetworkName, load_network
from pipelines.upscaling.upscaler import Upscaler
from tests.pipelines.upscaling.material import (
    MODELS,
    farthest,
    halved,
    noise,
    page,
    photograph,
    psnr_db,
)


def upscaler_of(name: NetworkName, tile_side: int, faithful: bool = True) -> Upscaler:
    blueprint = replace(BLUEPRINTS[name], tile_side=tile_side)
    return Upscaler(load_network(MODELS, name), blueprint, torch.device("cpu"), 1, faithful)


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return Upscaler.load(MODELS, "drawing", threads=1)


@pytest.fixture(scope="module")
def in_tiles() -> Upscaler:
    return upscaler_of("drawing", 40)


@pytest.fixture(scope="module")
def in_one_piece() -> Upscaler:
    return upscaler_of("drawing", 1_000_000)


@pytest.mark.parametrize(
    ("size", "scale"),
    [
        ((1, 1), 4),
        ((1, 90), 3),
        ((41, 2), 2),
        ((40, 40), 2),
        ((80, 79), 3),
        ((97, 45), 2),
        ((64, 81), 4),
        ((3, 2000), 2),
    ],
)
@pytest.mark.parametrize("draw", [page, noise])
def test_tiles_cannot_be_told_from_one_piece(
    in_tiles: Upscaler,
    in_one_piece: Upscaler,
    draw: Callable[[tuple[int, int]], Image.Image],
    size: tuple[int, int],
    scale: int,
) -> None:
    image = draw(size)
    enlarged = in_tiles.upscale(image, scale)
    assert enlarged.size == (size[0] * scale, size[1] * scale)
    assert farthest(enlarged, in_one_piece.upscale(image, scale)) <= 2


def test_tiles_of_a_large_network_cannot_be_told_either() -> None:
    image = page((180, 24))
    in_tiles, in_one_piece = (upscaler_of("illustration", side, faithful=False) for side in (60, 180))
    assert farthest(in_tiles.upscale(image, 4), in_one_piece.upscale(image, 4)) <= 2


def test_what_is_on_the_other_side_of_a_large_picture_does_not_matter(upscaler: Upscaler) -> None:
    image = page((520, 20))
    changed = image.copy()
    changed.paste("red", (0, 0, 200, 20))
    left, right = upscaler.upscale(image, 2), upscaler.upscale(changed, 2)
    assert farthest(left.crop((480, 0, 1040, 40)), right.crop((480, 0, 1040, 40))) == 0


def test_the_result_scaled_down_is_the_picture(upscaler: Upscaler) -> None:
    image = photograph("cat", 64)
    free = upscaler_of("drawing", 64, faithful=False)
    assert psnr_db(halved(upscaler.upscale(image, 2)), image) > 45
    assert psnr_db(halved(free.upscale(image, 2)), image) < 35


def test_bfloat16_looks_the_same(upscaler: Upscaler) -> None:
    image = photograph("coffee", 64)
    fast = Upscaler.load(MODELS, "drawing", threads=1, dtype="bfloat16")
    assert farthest(fast.upscale(image, 4), upscaler.upscale(image, 4)) <= 4


def test_progress_ascends_to_the_end(in_tiles: Upscaler) -> None:
    shares: list[float] = []
    in_tiles.upscale(noise((90, 50)), 2, shares.append)
    assert shares == [pytest.approx(done / 6) for done in range(7)]


def test_a_large_network_tells_its_progress_inside_of_a_tile() -> None:
    shares: list[float] = []
    upscaler_of("illustration", 16).upscale(noise((32, 8)), 2, shares.append)
    assert len(shares) > 12
    assert all(left <= right for left, right in pairwise(shares))
    assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_what_the_caller_raises_stops_the_work(in_tiles: Upscaler) -> None:
    shares: list[float] = []

    def cancel(share: float) -> None:
        shares.append(share)
        if share > 0.3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        in_tiles.upscale(noise((90, 50)), 2, cancel)
    assert shares[-1] == pytest.approx(2 / 6)


def test_threads_share_it(upscaler: Upscaler) -> None:
    images = [photograph("rocket", side) for side in (24, 32, 40)]
    expected = [upscaler.upscale(image, 2) for image in images]
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda image: upscaler.upscale(image, 2), images))
    assert [farthest(*pair) for pair in zip(found, expected, strict=True)] == [0, 0, 0]


@pytest.mark.skipif(torch.get_num_threads() < 2, reason="one core cannot be overdrawn")
def test_a_run_keeps_to_its_threads_in_whatever_thread_it_is(upscaler: Upscaler) -> None:
    def threads_started() -> int:
        before = psutil.Process().num_threads()
        upscaler.upscale(noise((200, 40)), 2)
        return psutil.Process().num_threads() - before

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(threads_started).result() <= 0


@contextmanager
def _memory_left(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit is not kept")
@pytest.mark.parametrize(("scale", "left_bytes"), [(2, 600_000_000), (4, 1_000_000)])
def test_too_little_memory_is_told_as_such(in_one_piece: Upscaler, scale: int, left_bytes: int) -> None:
    image = Image.new("RGB", (4000, 3000))
    shares: list[float] = []
    with pytest.raises(OutOfMemory, match="more memory"), _memory_left(left_bytes):
        in_one_piece.upscale(image, scale, shares.append)
    assert len(shares) == (scale == 2)  # where four times as much is to be had, it is the network that fails
