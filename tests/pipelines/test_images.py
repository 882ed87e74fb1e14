import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from pipelines.errors import InputTooLarge, UnsupportedMedia
from pipelines.images import Encoding, PictureFormat, open_image, write_still

LIMIT = 100_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "picture"


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_bomb(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000))
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", header)
        + _png_chunk(b"IDAT", pixels)
        + _png_chunk(b"IEND", b"")
    )


def _gif(width: int, height: int, frames: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(6) + frames + b";"


def _gif_frame(width: int = 1, height: int = 1) -> bytes:
    control = b"!\xf9\x04\x09\x0a\0\0\0"  # 100 ms, then back to the background
    return control + b"," + struct.pack("<HHHH", 0, 0, width, height) + b"\0\x02\x02\x4c\x01\0"


def _encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def test_a_bomb_is_refused_by_its_header(path: Path) -> None:
    path.write_bytes(_png_bomb(50_000, 50_000))
    started = time.perf_counter()
    with pytest.raises(InputTooLarge, match=r"50000 x 50000 pixels = 2,500,000,000 .* 100,000,000") as caught:
        open_image(path, "image", LIMIT).__enter__()
    assert time.perf_counter() - started < 0.2
    assert caught.value.field == "image"


@pytest.mark.parametrize(
    ("width", "height", "frames", "message"),
    [
        (1000, 1000, _gif_frame() * 101, "1000 x 1000 pixels x 101 frames"),
        (1, 1, _gif_frame() + _gif_frame(60_000, 60_000), "60000 x 60000 pixels x 2 frames"),
        (1, 1, _gif_frame() * 10_001, "10,000 frames"),
        (1, 1, b"!\xff\x0bNETSCAPE2.0\0\1,\0" + _gif_frame(60_000, 60_000), "60000 x 60000"),
        (1, 1, b"\0\0" + _gif_frame(60_000, 60_000), "60000 x 60000"),
    ],
)
def test_a_gif_is_measured_with_all_its_frames(
    path: Path, width: int, height: int, frames: bytes, message: str
) -> None:
    path.write_bytes(_gif(width, height, frames))
    with pytest.raises(InputTooLarge, match=message):
        open_image(path, "image", LIMIT).__enter__()


def test_a_gif_of_rubbish_is_refused_before_it_is_searched(path: Path) -> None:
    path.write_bytes(_gif(1, 1, bytes(1_000_000)))
    with pytest.raises(UnsupportedMedia, match="not made of GIF blocks"):
        open_image(path, "image", LIMIT).__enter__()


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "AVIF"])
def test_frames_count(path: Path, format_: str) -> None:
    frames = [Image.new("RGB", (20, 20), (shade * 50, 0, 0)) for shade in range(5)]
    path.write_bytes(_encoded(frames[0], format_, save_all=True, append_images=frames[1:]))
    with open_image(path, "image", 2000) as picture:
        assert picture.frame_count == 5
    with pytest.raises(InputTooLarge, match="20 x 20 pixels x 5 frames = 2,000 pixels; the limit is 1,999"):
        open_image(path, "image", 1999).__enter__()


def test_a_bomb_in_the_text_is_refused(path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "a" * 5_000_000, zip=True)
    path.write_bytes(_encoded(Image.new("L", (4, 4)), "PNG", pnginfo=info))
    with pytest.raises(UnsupportedMedia, match="too large"):
        open_image(path, "image", LIMIT).__enter__()


@pytest.mark.parametrize(
    "data", [b"", b"hello, I am a text file\n" * 40, b"%PDF-1.7 ...", b"GIF8", b"<svg/>"]
)
def test_other_files_are_refused_with_the_kinds_that_are_not(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(UnsupportedMedia, match="Accepted: jpg, png, gif, bmp, tiff, webp, avif") as caught:
        open_image(path, "watermark", LIMIT).__enter__()
    assert caught.value.field == "watermark"
    assert str(path) not in str(caught.value)


@pytest.mark.parametrize("format_", [each.traits.pillow for each in PictureFormat])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_torn_picture_is_refused(path: Path, format_: str, share: float) -> None:
    data = _encoded(Image.effect_noise((64, 64), 60).convert("RGB"), format_)
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UnsupportedMedia, match="picture"), open_image(path, "picture", LIMIT) as picture:
        picture.frame()


def test_kinds_that_are_not_listed_stay_closed(path: Path) -> None:
    path.write_bytes(_encoded(Image.new("RGB", (8, 8)), "PPM"))
    with pytest.raises(UnsupportedMedia):
        open_image(path, "image", LIMIT).__enter__()


def test_floats_that_are_no_numbers_are_refused(path: Path) -> None:
    image = Image.new("F", (2, 1), float("inf"))
    path.write_bytes(_encoded(image, "TIFF"))
    with pytest.raises(UnsupportedMedia, match="finite"), open_image(path, "image", LIMIT) as picture:
        picture.frame()


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_is_no_reason_to_refuse(path: Path, format_: str) -> None:
    path.write_bytes(_encoded(Image.new("RGB", (8, 4)), format_, exif=b"Exif\0\0XX rubbish"))
    with open_image(path, "image", LIMIT) as picture:
        assert picture.frame().image.size == (8, 4)


def test_several_threads_at_once_get_the_same(path: Path) -> None:
    path.write_bytes(_encoded(Image.effect_noise((320, 240), 60).convert("RGB"), "JPEG"))

    def scaled(_: int) -> bytes:
        buffer = BytesIO()
        with open_image(path, "image", LIMIT) as picture:
            write_still(picture.frame(size=(80, 60)).image, buffer, Encoding(PictureFormat.PNG))
        return buffer.getvalue()

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(scaled, range(24)))) == 1
