import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from pipelines.errors import ModelLoadError
from pipelines.upscaling.networks import BLUEPRINTS, NetworkName, load_network
from pipelines.upscaling.upscaler import Upscaler
from tests.pipelines.upscaling.material import MODELS, farthest, photograph

DRAWING = BLUEPRINTS["drawing"].stem


def _by_ncnn(name: NetworkName, image: Image.Image) -> Image.Image:
    """Enlarge 4 times with the engine that the files are made for."""
    ncnn: Any = pytest.importorskip("ncnn")
    net = ncnn.Net()
    net.opt.num_threads = 1
    for setting in ("packed", "storage", "arithmetic"):
        setattr(net.opt, f"use_fp16_{setting}", False)
    net.load_param(str(MODELS / f"{BLUEPRINTS[name].stem}.param"))
    net.load_model(str(MODELS / f"{BLUEPRINTS[name].stem}.bin"))
    extractor = net.create_extractor()
    pixels = np.ascontiguousarray(np.array(image, np.float32).transpose(2, 0, 1) / 255)
    extractor.input("data", ncnn.Mat(pixels).clone())
    _, output = extractor.extract("output")
    result: npt.NDArray[np.float32] = np.array(output).clip(0, 1) * 255
    return Image.fromarray(result.round().astype(np.uint8).transpose(1, 2, 0))


@pytest.mark.parametrize("name", list(BLUEPRINTS))
def test_a_network_gives_what_ncnn_gives(name: NetworkName) -> None:
    image = photograph("cat").crop((40, 40, 68, 60))
    upscaler = Upscaler.load(MODELS, name, threads=1, faithful=False)
    assert farthest(upscaler.upscale(image, 4), _by_ncnn(name, image)) <= 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for suffix in (".param", ".bin"):
        shutil.copy(MODELS / f"{DRAWING}{suffix}", tmp_path)
    return tmp_path


@pytest.mark.parametrize("suffix", ["", ".param", ".bin"])
def test_the_weights_may_be_the_folder_or_a_file_of_any_name(folder: Path, suffix: str) -> None:
    if suffix:
        for file in list(folder.iterdir()):
            file.rename(folder / f"mine.v2{file.suffix}")
    path = folder / f"mine.v2{suffix}" if suffix else folder
    assert sum(parameter.numel() for parameter in load_network(path, "drawing").parameters()) == 621_424


@pytest.mark.parametrize("suffix", [".param", ".bin"])
def test_a_missing_file_is_named(folder: Path, suffix: str) -> None:
    (folder / f"{DRAWING}{suffix}").unlink()
    with pytest.raises(ModelLoadError, match=rf"{DRAWING}\{suffix} cannot be read .*Check 'source'"):
        load_network(folder, "drawing")


@pytest.mark.parametrize(("end", "problem"), [(600_000, "ends too early"), (0, "ends too early")])
def test_torn_weights_are_refused(folder: Path, end: int, problem: str) -> None:
    file = folder / f"{DRAWING}.bin"
    file.write_bytes(file.read_bytes()[:end])
    with pytest.raises(ModelLoadError, match=rf"{DRAWING}\.bin {problem}.*Fetch it anew"):
        load_network(folder, "drawing")


def test_weights_with_more_than_the_network_takes_are_refused(folder: Path) -> None:
    file = folder / f"{DRAWING}.bin"
    file.write_bytes(file.read_bytes() + bytes(4))
    with pytest.raises(ModelLoadError, match=r"\.bin has more bytes: 1,247,372 bytes do not fit"):
        load_network(folder, "drawing")


def test_quantised_weights_are_refused(folder: Path) -> None:
    file = folder / f"{DRAWING}.bin"
    file.write_bytes(b"\x38\x4b\x0d\x00" + file.read_bytes()[4:])
    with pytest.raises(ModelLoadError, match=r"weights of an unknown kind \(tag 0xd4b38\)"):
        load_network(folder, "drawing")


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ("realesrgan-x4plus", r"layer 2 is Convolution 0=32 .*, not PReLU 0=64"),
        ("realesr-animevideov3-x2", r"layer 39 is Interp 0=3 1=0.5 2=0.5, not there"),
    ],
)
def test_another_network_is_refused(folder: Path, other: str, problem: str) -> None:
    shutil.copy(MODELS / f"{other}.param", folder / f"{DRAWING}.param")
    with pytest.raises(ModelLoadError, match=rf"is not the network 'drawing': {problem}") as refusal:
        load_network(folder, "drawing")
    assert str(refusal.value).endswith(f"Check 'source' and 'network': 'drawing' is {DRAWING}.")


def test_a_network_that_ends_too_early_is_refused(folder: Path) -> None:
    file = folder / f"{DRAWING}.param"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]))
    with pytest.raises(ModelLoadError, match="layer 38 is missing, not BinaryOp"):
        load_network(folder, "drawing")


@pytest.mark.parametrize(
    "rubbish", [b"", b"7767517", b"7767517\n1 1\nConvolution\n", b"a\nb\n", b"\xff\xfe\0"]
)
def test_rubbish_is_no_network(folder: Path, rubbish: bytes) -> None:
    (folder / f"{DRAWING}.param").write_bytes(rubbish)
    with pytest.raises(ModelLoadError, match=rf"{DRAWING}\.param is not a network in ncnn's.* format"):
        load_network(folder, "drawing")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_no_surprise_later() -> None:
    with pytest.raises(ModelLoadError, match="torch finds none"):
        Upscaler.load(MODELS, "drawing", device="cuda")
