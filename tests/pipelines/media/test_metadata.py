"""What is not asked for does not stay: places, names, covers, chapters, attached files, timecodes."""

from io import BytesIO
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from tests.fakes import FolderWorkspace
from tests.pipelines.media.clips import PICTURE, TONE, X264, make, transform

_SECRETS = (b"secret", b"48.1173", b"2020-02-02", b"01:02:03")
_CHAPTERS = (
    ";FFMETADATA1\ntitle=secret\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=a secret chapter\n"
)
_WHOLE = (
    "location=+48.1173-011.5167/",
    "comment=secret",
    "artist=secret",
    "creation_time=2020-02-02T02:02:02Z",
)
_OF_STREAM = ("handler_name=secret handler", "title=secret")
_TAGS = (*(part for tag in _WHOLE for part in ("-metadata", tag)),
         *(part for tag in _OF_STREAM for part in ("-metadata:s:0", tag)))  # fmt: skip


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files with all that a file can tell of its owner."""
    folder = tmp_path_factory.mktemp("tagged")
    chapters, font, cover = folder / "chapters", folder / "font.ttf", folder / "cover.jpg"
    chapters.write_text(_CHAPTERS)
    font.write_bytes(b"a secret font")
    Image.new("RGB", (64, 64), "red").save(cover, comment=b"secret")
    film = (*PICTURE, *TONE, "-i", str(chapters), "-map_metadata", "2", "-map_chapters", "2", *_TAGS, *X264)
    make(folder / "film.mov", *film, "-c:a", "aac", "-timecode", "01:02:03:04")
    attached = ("-attach", str(font), "-metadata:s:t", "mimetype=font/ttf")
    make(folder / "film.mkv", *film, "-c:a", "aac", *attached)
    art = ("-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v:0", "attached_pic")
    make(folder / "song.mp3", *TONE, "-i", str(cover), *art, *_TAGS)
    make(folder / "song.m4a", *TONE, "-i", str(cover), *art, *_TAGS)
    return folder


def _is_clean(path: Path) -> bool:
    data = path.read_bytes()
    with av.open(str(path)) as container:
        kinds = {stream.type for stream in container.streams}
        has_more = bool(container.chapters()) or not kinds <= {"video", "audio"}
    return not has_more and not any(secret in data for secret in _SECRETS)


@pytest.mark.parametrize("source", ["film.mov", "film.mkv"])
@pytest.mark.parametrize("target", ["mp4", "mov", "mkv", "webm", "avi"])
def test_videos_tell_nothing(workspace: FolderWorkspace, tagged: Path, source: str, target: str) -> None:
    workspace.add(tagged / source, source)
    assert not _is_clean(workspace.path(source))
    result = transform(workspace, "convert-video", video=source, output_format=target)
    assert _is_clean(workspace.path(result.video))


@pytest.mark.parametrize("source", ["song.mp3", "song.m4a"])
@pytest.mark.parametrize("target", ["mp3", "m4a", "ogg", "flac"])
def test_songs_tell_nothing_and_lose_their_cover(
    workspace: FolderWorkspace, tagged: Path, source: str, target: str
) -> None:
    workspace.add(tagged / source, source)
    result = transform(workspace, "convert-audio", audio=source, output_format=target)
    path = workspace.path(result.audio)
    assert _is_clean(path)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["audio"]


def test_a_cover_is_no_video(workspace: FolderWorkspace, tagged: Path) -> None:
    workspace.add(tagged / "song.mp3", "song.mp3")
    info = transform(workspace, "probe-media", media="song.mp3").info
    assert (info.video, len(info.audio), info.format) == ((), 1, "mp3")


def test_what_is_asked_for_stays(workspace: FolderWorkspace, tagged: Path) -> None:
    workspace.add(tagged / "film.mov", "film.mov")
    kept = transform(
        workspace, "convert-video", video="film.mov", output_format="mp4", keep_metadata=True
    ).video
    with av.open(str(workspace.path(kept))) as container:
        assert container.metadata["comment"] == "secret"
        assert container.chapters()[0]["metadata"]["title"] == "a secret chapter"


def _tagged_picture(format_: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "secret"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSMapDatum] = "48.1173"
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<x>secret</x>")
    text.add_text("Comment", "secret", zip=False)
    more: dict[str, dict[str, Any]] = {
        "PNG": {"pnginfo": text},
        "GIF": {"comment": b"secret"},
        "JPEG": {"comment": b"secret"},
    }
    more |= {"WEBP": {"xmp": b"<x>secret</x>"}, "AVIF": {"xmp": b"<x>secret</x>"}}
    file = BytesIO()
    Image.new("RGB", (32, 32), "red").save(file, format_, exif=exif.tobytes(), **more.get(format_, {}))
    return file.getvalue()


@pytest.mark.parametrize("source", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("target", ["jpg", "png", "gif", "webp", "avif", "tiff"])
def test_pictures_tell_nothing(workspace: FolderWorkspace, source: str, target: str) -> None:
    data = _tagged_picture(source)
    assert b"secret" in data
    workspace.add(data, "picture")
    result = transform(workspace, "convert-image", image="picture", output_format=target)
    made = workspace.path(result.image).read_bytes()
    assert not any(secret in made for secret in _SECRETS)
