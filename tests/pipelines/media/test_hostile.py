"""Files that mean harm, or are none."""

import os
import struct
from dataclasses import replace
from pathlib import Path

import ffmpeg
import pytest

from pipelines.errors import InputTooLarge, InvalidInput, UnsupportedMedia
from pipelines.media import MediaInfo, MediaSource, run_ffmpeg
from pipelines.media.ffmpeg import open_input
from pipelines.media.sniffing import Kind, sniff
from pipelines.tasks.base import MediaLimits, RunLimits
from tests.fakes import FolderWorkspace
from tests.pipelines.media.clips import make, transform

_NO_MEDIA = {
    "empty.mp4": b"",
    "text.mp4": b"This is only a text.\n" * 200,
    "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "list.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "picture.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "stream.mpd": b'<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1/</BaseURL></MPD>',
    "call.sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n",
    "page.html": b"<html></html>",
    "noise.mp3": bytes(range(256)) * 40,
    "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(100),
}


@pytest.mark.parametrize("name", list(_NO_MEDIA))
def test_what_is_no_media_is_refused(workspace: FolderWorkspace, name: str) -> None:
    workspace.add(_NO_MEDIA[name], name)
    with pytest.raises(UnsupportedMedia, match="Send a video") as caught:
        transform(workspace, "convert-video", video=name, output_format="mp4")
    assert caught.value.field == "video"


@pytest.mark.parametrize(
    "head",
    [b"\0\0\0\x20ftypisom", b"\x1a\x45\xdf\xa3", b"OggS", b"RIFF\0\0\0\0AVI ", b"fLaC", b"\0\0\x01\xba"],
)
def test_a_head_without_a_body(workspace: FolderWorkspace, head: bytes) -> None:
    workspace.add(head + os.urandom(5_000), "grafted")
    with pytest.raises(UnsupportedMedia, match=r"damaged|neither"):
        transform(workspace, "probe-media", media="grafted")


@pytest.mark.parametrize("part", [0.2, 0.5, 0.65])
@pytest.mark.parametrize("flags", [(), ("-movflags", "+faststart")])
def test_a_torn_file(workspace: FolderWorkspace, flags: tuple[str, ...], part: float) -> None:
    """Its index is at the end and missing, or at the start with the pictures behind it missing."""
    source = str(workspace.path("clip.mp4"))
    whole = make(workspace.path("whole.mp4"), "-i", source, "-c", "copy", *flags).read_bytes()
    workspace.add(whole[: int(len(whole) * part)], "torn.mp4")
    with pytest.raises(UnsupportedMedia, match="damaged") as caught:
        transform(workspace, "scale-video", video="torn.mp4", width=80)
    assert str(workspace.folder) not in caught.value.message


@pytest.mark.parametrize(
    ("demuxer", "text"),
    [
        ("hls", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"),
        ("concat", "ffconcat version 1.0\nfile '{}'\n"),
    ],
)
@pytest.mark.parametrize("scheme", ["", "file:", "fd:"])
def test_a_playlist_leads_nowhere_even_if_it_were_let_in(
    workspace: FolderWorkspace, demuxer: str, text: str, scheme: str
) -> None:
    workspace.add(text.format(f"{scheme}{workspace.path('clip.mp4')}").encode(), "list")
    with workspace.path("list").open("rb") as file, workspace.path("clip.mp4").open("rb") as clip:
        info = MediaInfo(format=demuxer)
        source = MediaSource(file, Kind(demuxer), info, "video")
        graph = ffmpeg.output(open_input(file, demuxer), str(workspace.path("out.mkv")))
        with pytest.raises(UnsupportedMedia, match="could not be processed"):
            run_ffmpeg(graph, source, workspace, None, files=[clip])


def test_a_huge_length(workspace: FolderWorkspace) -> None:
    source = str(workspace.path("clip.mp4"))
    data = bytearray(make(workspace.path("clip.mkv"), "-i", source, "-c", "copy").read_bytes())
    place = data.index(b"\x44\x89\x88") + 3  # Matroska's Duration, a double in milliseconds
    struct.pack_into(">d", data, place, 1e12)
    workspace.add(bytes(data), "long.mkv")
    with pytest.raises(InputTooLarge, match="seconds; 14,400 is the limit"):
        transform(workspace, "scale-video", video="long.mkv", width=80)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"video_pixels": 19_199}, "19,200 pixels per frame; 19,199"),
        ({"duration_s": 1.0}, "2 seconds; 1"),
        ({"frames": 49}, "50 frames; 49"),
        ({"streams": 1}, "2 streams; 1"),
        ({"output_bytes": 2_000}, "larger than is allowed"),
        ({"wall_s": 0.0}, "longer than 0 s"),
    ],
)
def test_limits(workspace: FolderWorkspace, limit: dict[str, float], words: str) -> None:
    limited = FolderWorkspace(workspace.folder, RunLimits(media=replace(MediaLimits(), **limit)))  # type: ignore[arg-type]
    with pytest.raises(InputTooLarge, match=words):
        transform(limited, "scale-video", video="clip.mp4", width=80)
    assert not list(workspace.folder.glob(".draft*"))


def test_too_much_computing_time(workspace: FolderWorkspace) -> None:
    limited = FolderWorkspace(workspace.folder, RunLimits(media=MediaLimits(cpu_s=1)))
    with pytest.raises(InputTooLarge, match="computing time"):
        transform(limited, "scale-video", video="silent.mp4", width=3840, quality=100)


def test_too_much_memory(workspace: FolderWorkspace) -> None:
    """Where ffmpeg notices that it gets no more is chance, and so are its words."""
    limited = FolderWorkspace(workspace.folder, RunLimits(media=MediaLimits(memory_bytes=240_000_000)))
    with pytest.raises(InvalidInput):
        transform(limited, "scale-video", video="clip.mp4", width=1920, quality=100)


def test_no_frame_can_be_read(workspace: FolderWorkspace) -> None:
    source = str(workspace.path("clip.mp4"))
    whole = make(workspace.path("whole.webm"), "-i", source, "-g", "1").read_bytes()
    first_picture = whole.index(
        b"\xa3", whole.index(b"\x1f\x43\xb6\x75")
    )  # SimpleBlock, in the first Cluster
    workspace.add(whole[: first_picture + 40], "torn.webm")
    with pytest.raises(UnsupportedMedia, match="damaged"):
        transform(workspace, "convert-video", video="torn.webm", output_format="mkv")


def test_sniffing_ignores_names_and_skips_tags(tmp_path: Path) -> None:
    file = tmp_path / "song.txt"
    file.write_bytes(b"ID3\x04\0\0\0\0\x4e\x20" + bytes(10_016) + b"fLaC" + bytes(100))
    with file.open("rb") as opened:
        assert sniff(opened, "audio").demuxer == "flac"
        assert opened.tell() == 0
