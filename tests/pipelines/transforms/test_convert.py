from io import BytesIO

import pytest
from PIL import Image, ImageCms
from pydantic import ValidationError

from pipelines.errors import InvalidInput
from pipelines.images import PictureFormat
from tests.fakes import FolderWorkspace
from tests.pipelines.transforms.pictures import difference, encoded, flag, opened, transform

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SRGB_TARGET = ImageCms.createProfile("sRGB")
SWAPPED = SRGB.replace(b"rXYZ", b"zXYZ").replace(b"gXYZ", b"rXYZ").replace(b"zXYZ", b"gXYZ")
"""A profile in which the red channel is green light, and the other way round."""


def _converted(workspace: FolderWorkspace, data: bytes, format_: str, **fields: object) -> Image.Image:
    key = workspace.add(data, "input")
    return opened(
        workspace, transform(workspace, "convert-image", image=key, output_format=format_, **fields)
    )


@pytest.mark.parametrize("source", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("target", list(PictureFormat))
def test_every_format_to_every_format(workspace: FolderWorkspace, source: str, target: str) -> None:
    options = {"quality": 95} if source in ("JPEG", "WEBP", "AVIF") else {}
    image = _converted(workspace, encoded(flag(), source, **options), target)
    assert difference(image, flag()) < 8


@pytest.mark.parametrize("name", ["JPG", "jpeg", "Jpg"])
def test_formats_have_their_other_spellings(workspace: FolderWorkspace, name: str) -> None:
    assert _converted(workspace, encoded(flag(), "PNG"), name).format == "JPEG"


def test_a_format_is_a_word(workspace: FolderWorkspace) -> None:
    with pytest.raises(ValidationError, match="output_format"):
        transform(workspace, "convert-image", image="any", output_format=7)
    with pytest.raises(ValidationError, match="output_format"):
        transform(workspace, "convert-image", image="any", output_format="psd")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_pictures_come_out_upright_and_without_exif(
    workspace: FolderWorkspace, orientation: int, source: str
) -> None:
    away = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = flag() if orientation == 1 else flag().transpose(away[orientation])
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "somebody's camera"
    exif.get_ifd(0x8825)[1] = "N"
    data = encoded(stored, source, exif=exif)
    for target in ("png", "jpg"):
        image = _converted(workspace, data, target)
        assert difference(image, flag()) < 10
        assert not dict(image.getexif())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "F", "CMYK", "I"])
def test_every_mode_keeps_its_look(workspace: FolderWorkspace, mode: str) -> None:
    grey = flag("L")
    wide = {
        "I;16": grey.convert("I").point(lambda value: value * 257 + 0).convert("I;16"),
        "I": grey.convert("I").point(lambda value: value * 257 + 0),
        "F": grey.convert("F").point(lambda value: value * (1 / 255) + 0),
    }
    image = wide.get(mode) or (flag().quantize(8) if mode == "P" else flag(mode))
    expected = grey if mode in wide else image.convert("RGBA" if mode == "LA" else "RGB")
    for target in PictureFormat:
        assert difference(_converted(workspace, encoded(image, "TIFF"), target), expected) < 5


def test_numbers_beyond_16_bits_are_stretched(workspace: FolderWorkspace) -> None:
    deep = Image.new("I", (2, 1), -1000)
    deep.putpixel((1, 0), 1_000_000)
    image = _converted(workspace, encoded(deep, "TIFF"), "png")
    assert (image.getpixel((0, 0)), image.getpixel((1, 0))) == (0, 255)


def test_lab_is_converted(workspace: FolderWorkspace) -> None:
    image = _converted(workspace, encoded(Image.new("LAB", (4, 4), (255, 128, 128)), "TIFF"), "png")
    assert difference(image, Image.new("RGB", (4, 4), "white")) < 3


@pytest.mark.parametrize("target", ["jpg", "bmp"])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white_where_the_format_has_none(
    workspace: FolderWorkspace, target: str, mode: str
) -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 10, 10))
    source = clear.quantize(4) if mode == "P" else clear.convert(mode)
    image = _converted(workspace, encoded(source, "PNG"), target).convert("L")
    assert (image.getpixel((2, 2)), image.getpixel((18, 18))) == (0, 255)


@pytest.mark.parametrize("target", ["png", "gif", "tiff", "webp", "avif"])
def test_transparency_stays_where_the_format_has_it(workspace: FolderWorkspace, target: str) -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    clear.paste((200, 0, 0, 255), (0, 0, 10, 20))
    image = _converted(workspace, encoded(clear, "PNG"), target)
    assert difference(image, clear) < 5


@pytest.mark.parametrize("target", ["jpg", "png", "tiff", "webp", "avif"])
def test_a_profile_is_kept_with_its_pixels(workspace: FolderWorkspace, target: str) -> None:
    image = _converted(workspace, encoded(flag(), "PNG", icc_profile=SWAPPED), target)
    assert image.info["icc_profile"] == SWAPPED
    assert difference(image, flag()) < 8


@pytest.mark.parametrize("target", ["gif", "bmp"])
def test_pixels_become_srgb_where_the_profile_cannot_be_kept(workspace: FolderWorkspace, target: str) -> None:
    green = Image.new("RGB", (8, 8), (0, 255, 0))
    image = _converted(workspace, encoded(green, "PNG", icc_profile=SWAPPED), target)
    assert "icc_profile" not in image.info
    assert difference(image, Image.new("RGB", (8, 8), (255, 0, 0))) < 3


def test_transparency_survives_the_conversion_of_colours(workspace: FolderWorkspace) -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    clear.paste((0, 255, 0, 255), (0, 0, 10, 20))
    image = _converted(workspace, encoded(clear, "PNG", icc_profile=SWAPPED), "gif").convert("RGBA")
    assert image.getpixel((15, 5))[3] == 0  # type: ignore[index]
    assert difference(image.crop((0, 0, 10, 20)), Image.new("RGB", (10, 20), (255, 0, 0))) < 3


def test_a_profile_with_broken_tables_is_ignored(workspace: FolderWorkspace) -> None:
    broken = SRGB.replace(b"rTRC", b"zzzz").replace(b"rXYZ", b"yyyy")
    image = _converted(workspace, encoded(flag(), "PNG", icc_profile=broken), "bmp")
    assert difference(image, flag()) < 1


def test_a_watermark_is_seen_in_its_own_colours(workspace: FolderWorkspace) -> None:
    base = encoded(Image.new("RGB", (40, 40)), "PNG", icc_profile=SWAPPED)
    mark = encoded(Image.new("RGB", (9, 9), (255, 0, 0)), "PNG")
    keys = {"image": workspace.add(base, "base"), "watermark": workspace.add(mark, "mark")}
    image = opened(workspace, transform(workspace, "watermark-image", **keys, opacity=1))
    seen = ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(BytesIO(SWAPPED)), SRGB_TARGET)
    assert seen is not None
    assert difference(seen.crop((10, 10, 19, 19)), Image.new("RGB", (9, 9), (255, 0, 0))) < 3


@pytest.mark.parametrize("profile", [b"rubbish", SRGB[:200]])
def test_a_profile_that_cannot_be_used_is_dropped(workspace: FolderWorkspace, profile: bytes) -> None:
    image = _converted(workspace, encoded(flag(), "PNG", icc_profile=profile), "png")
    assert "icc_profile" not in image.info


def test_cmyk_does_not_take_an_rgb_profile_along(workspace: FolderWorkspace) -> None:
    image = _converted(workspace, encoded(flag("CMYK"), "JPEG", icc_profile=SWAPPED), "png")
    assert "icc_profile" not in image.info
    assert difference(image, flag()) < 8


def test_quality_counts(workspace: FolderWorkspace) -> None:
    key = workspace.add(encoded(Image.effect_noise((64, 64), 80), "PNG"), "noise.png")
    sizes = []
    for quality in (10, None, 95):
        result = transform(workspace, "convert-image", image=key, output_format="jpg", quality=quality)
        sizes.append(workspace.path(result.image).stat().st_size)
    assert sizes == sorted(sizes)


def test_quality_for_a_lossless_format_is_refused(workspace: FolderWorkspace) -> None:
    with pytest.raises(InvalidInput, match="png is lossless") as caught:
        _converted(workspace, encoded(flag(), "JPEG"), "png", quality=80)
    assert caught.value.field == "quality"


def test_a_picture_that_the_format_cannot_hold_is_refused(workspace: FolderWorkspace) -> None:
    with pytest.raises(InvalidInput, match=r"webp holds at most 16,383 .* 16384 x 1") as caught:
        _converted(workspace, encoded(Image.new("L", (16384, 1)), "PNG"), "webp")
    assert caught.value.field == "output_format"


def test_the_first_page_of_a_tiff_is_taken(workspace: FolderWorkspace) -> None:
    pages = encoded(flag(), "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    assert difference(_converted(workspace, pages, "gif"), flag()) < 3
