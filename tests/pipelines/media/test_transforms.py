"""The video and sound transforms against the truth of their sources."""

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import InvalidInput, UnsupportedMedia
from tests.fakes import FolderWorkspace
from tests.pipelines.media.clips import (
    FPS,
    LENGTH_S,
    PICTURE,
    SIZE,
    TONE,
    X264,
    codecs,
    duration_s,
    frames,
    make,
    packets,
    psnr,
    timed_frames,
    transform,
)

FRAME_S = 1 / FPS


class TestScale:
    @pytest.mark.parametrize(
        ("fields", "size"),
        [
            ({"width": 80}, (80, 60)),
            ({"height": 31}, (42, 32)),
            ({"width": 100, "height": 30}, (40, 30)),
            ({"width": 321}, (320, 240)),
        ],
    )
    def test_keeps_the_aspect_with_even_sides(
        self, workspace: FolderWorkspace, fields: dict[str, int], size: tuple[int, int]
    ) -> None:
        result = transform(workspace, "scale-video", video="clip.mp4", **fields)
        shown = frames(workspace.path(result.video))
        assert (result.width, result.height) == size
        assert (len(shown), shown[0].shape) == (50, (size[1], size[0], 3))

    def test_copies_the_sound(self, workspace: FolderWorkspace) -> None:
        result = transform(workspace, "scale-video", video="clip.mp4", width=80)
        assert packets(workspace.path(result.video), 1) == packets(workspace.path("clip.mp4"), 1)

    @pytest.mark.parametrize("fps", ["1", "5"])
    def test_few_frames_are_no_damage(self, workspace: FolderWorkspace, fps: str) -> None:
        source = ("-f", "lavfi", "-i", f"testsrc2=size=160x120:rate={fps}:duration=4")
        make(workspace.path("slides.mp4"), *source, *TONE, *X264, "-preset", "medium")
        result = transform(workspace, "scale-video", video="slides.mp4", width=80, audio=False)
        assert len(frames(workspace.path(result.video))) == 4 * int(fps)

    def test_needs_a_side(self, workspace: FolderWorkspace) -> None:
        with pytest.raises(InvalidInput, match="width, height or both"):
            transform(workspace, "scale-video", video="clip.mp4")


class TestCrop:
    @pytest.mark.parametrize(
        ("corner", "pixels"),
        # Colours are stored for 2 x 2 pixels: at an odd corner only the brightness is exact.
        [((0, 0), "rgb24"), ((16, 8), "rgb24"), ((33, 21), "gray")],
    )
    def test_is_the_crop_of_the_decoded_frame(
        self, workspace: FolderWorkspace, corner: tuple[int, int], pixels: str
    ) -> None:
        x, y = corner
        result = transform(
            workspace, "crop-video", video="silent.mp4", x=x, y=y, width=80, height=60, quality=95
        )
        whole = frames(workspace.path("silent.mp4"), pixels)
        shown = frames(workspace.path(result.video), pixels)
        wanted = [frame[y : y + 60, x : x + 80] for frame in whole]
        assert min(psnr(a, b) for a, b in zip(shown, wanted, strict=True)) > 40

    @pytest.mark.parametrize(
        ("part", "field"),
        [
            ({"x": 100, "y": 0, "width": 80, "height": 60}, "width"),
            ({"y": 120, "width": 8, "height": 8}, "y"),
        ],
    )
    def test_outside(self, workspace: FolderWorkspace, part: dict[str, int], field: str) -> None:
        with pytest.raises(InvalidInput, match="160 x 120") as caught:
            transform(workspace, "crop-video", video="clip.mp4", **part)
        assert caught.value.field == field


class TestWatermark:
    @pytest.mark.parametrize(
        ("position", "corner"),
        [
            ("TopLeft", (10, 10)),
            ("TopRight", (118, 10)),
            ("BottomLeft", (10, 94)),
            ("BottomRight", (118, 94)),
            ("Center", (64, 52)),
            (None, (118, 94)),
        ],
    )
    def test_lies_in_place_at_its_opacity(
        self, workspace: FolderWorkspace, position: str | None, corner: tuple[int, int]
    ) -> None:
        Image.new("RGB", (64, 32), "white").save(workspace.path("mark.png"))
        make(workspace.path("grey.mp4"), "-f", "lavfi", "-i", "color=0x404040:s=160x120:d=0.4", *X264)
        fields = {"position": position} if position else {}
        result = transform(
            workspace, "watermark-video", video="grey.mp4", watermark="mark.png", opacity=0.5, **fields
        )
        (x, y), half = corner, (0x40 + 0xFF) / 2
        for frame in frames(workspace.path(result.video)):
            marked = np.full((120, 160), 0x40, dtype=float)
            marked[y : y + 16, x : x + 32] = half
            assert np.abs(frame.mean(axis=2) - marked).max() < 8
            assert abs(frame[y : y + 16, x : x + 32].mean() - half) < 2

    def test_keeps_its_colour(self, workspace: FolderWorkspace) -> None:
        Image.new("RGB", (40, 40), (200, 40, 40)).save(workspace.path("mark.png"))
        result = transform(workspace, "watermark-video", video="clip.mp4", watermark="mark.png")
        frame = frames(workspace.path(result.video))[10]
        assert frame[84:104, 124:144].mean(axis=(0, 1)) == pytest.approx((200, 40, 40), abs=4)


class TestTrim:
    @pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 0.52), (0.4, 1.2), (1.04, None), (1.6, 99.0)])
    def test_is_right_to_the_frame(
        self, workspace: FolderWorkspace, start_s: float, end_s: float | None
    ) -> None:
        result = transform(workspace, "trim-video", video="clip.mp4", start_s=start_s, end_s=end_s)
        wanted = frames(workspace.path("clip.mp4"))[round(start_s * FPS) : round((end_s or LENGTH_S) * FPS)]
        shown = frames(workspace.path(result.video))
        assert len(shown) == len(wanted)
        assert min(psnr(a, b) for a, b in zip(shown, wanted, strict=True)) > 30
        path = workspace.path(result.video)
        assert duration_s(path, "audio") == pytest.approx(len(wanted) / FPS, abs=FRAME_S)

    def test_at_key_frames_copies(self, workspace: FolderWorkspace) -> None:
        result = transform(workspace, "trim-video", video="clip.mp4", start_s=1.2, mode="keyframe")
        whole, part = (packets(workspace.path(name), 0) for name in ("clip.mp4", result.video))
        assert part == whole[25:]
        assert result.duration_s == pytest.approx(1.0, abs=FRAME_S)
        assert result.notes == ("It begins 0.20 s earlier, at a key frame.",)

    @pytest.mark.parametrize(
        ("start_s", "end_s", "field"), [(1, 1, "end_s"), (1, 0.5, "end_s"), (3, 4, "start_s")]
    )
    def test_refuses_an_empty_part(
        self, workspace: FolderWorkspace, start_s: float, end_s: float, field: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            transform(workspace, "trim-video", video="clip.mp4", start_s=start_s, end_s=end_s)
        assert caught.value.field == field


class TestConvert:
    @pytest.mark.parametrize(
        ("target", "container", "streams"),
        [
            ("mp4", "mp4", ["h264", "aac"]),
            ("mov", "mov", ["h264", "aac"]),
            ("webm", "webm", ["vp9", "opus"]),
            ("mkv", "mkv", ["h264", "aac"]),
            ("avi", "avi", ["mpeg4", "mp3"]),
            ("wmv", "asf", ["wmv2", "wmav2"]),
            ("mpeg", "mpeg", ["mpeg2video", "mp2"]),
            ("ogg", "ogg", ["theora", "vorbis"]),
        ],
    )
    def test_every_video_format(
        self, workspace: FolderWorkspace, target: str, container: str, streams: list[str]
    ) -> None:
        result = transform(workspace, "convert-video", video="clip.mp4", output_format=target)
        path = workspace.path(result.video)
        assert codecs(path) == streams
        info = transform(workspace, "probe-media", media=result.video).info
        assert info.format == container
        assert len(frames(path)) == len(frames(workspace.path("clip.mp4")))
        assert duration_s(path, "video") == pytest.approx(LENGTH_S, abs=1.01 * FRAME_S)
        assert duration_s(path, "audio") == pytest.approx(LENGTH_S, abs=0.08)

    @pytest.mark.parametrize("target", ["mp4", "mov", "webm", "mkv", "avi", "wmv", "mpeg", "ogg"])
    @pytest.mark.parametrize(("quality", "least_db"), [(None, 26), (95, 38)])
    def test_every_frame_looks_as_before(
        self, workspace: FolderWorkspace, target: str, quality: int | None, least_db: float
    ) -> None:
        result = transform(
            workspace, "convert-video", video="clip.mp4", output_format=target, quality=quality
        )
        shown, wanted = frames(workspace.path(result.video)), frames(workspace.path("clip.mp4"))
        assert min(psnr(left, right) for left, right in zip(shown, wanted, strict=True)) > least_db

    @pytest.mark.parametrize("target", ["mov", "mkv"])
    def test_copies_what_fits(self, workspace: FolderWorkspace, target: str) -> None:
        result = transform(workspace, "convert-video", video="clip.mp4", output_format=target)
        for index in (0, 1):
            assert packets(workspace.path(result.video), index) == packets(workspace.path("clip.mp4"), index)

    @pytest.mark.parametrize(
        ("target", "codec"),
        [
            ("mp3", "mp3"),
            ("wav", "pcm_s16le"),
            ("aac", "aac"),
            ("flac", "flac"),
            ("ogg", "vorbis"),
            ("m4a", "aac"),
            ("wma", "wmav2"),
        ],
    )
    @pytest.mark.parametrize("source", ["tone.wav", "clip.mp4"])
    def test_every_sound_format(
        self, workspace: FolderWorkspace, source: str, target: str, codec: str
    ) -> None:
        result = transform(workspace, "convert-audio", audio=source, output_format=target)
        path = workspace.path(result.audio)
        assert codecs(path) == [codec]
        assert duration_s(path, "audio") == pytest.approx(LENGTH_S, abs=0.1)

    def test_drops_sound_and_metadata(self, workspace: FolderWorkspace) -> None:
        result = transform(workspace, "convert-video", video="clip.mp4", output_format="mkv", audio=False)
        path = workspace.path(result.video)
        assert codecs(path) == ["h264"]
        assert b"secret" not in path.read_bytes()

    def test_keeps_metadata_if_asked(self, workspace: FolderWorkspace) -> None:
        result = transform(
            workspace, "convert-video", video="clip.mp4", output_format="mkv", keep_metadata=True
        )
        assert b"secret" in workspace.path(result.video).read_bytes()

    @pytest.mark.parametrize("wish", [{"quality": 10}, {"video_kbps": 50}, {"fps": 10}])
    def test_wishes_encode_anew(self, workspace: FolderWorkspace, wish: dict[str, int]) -> None:
        result = transform(workspace, "convert-video", video="clip.mp4", output_format="mp4", **wish)
        path = workspace.path(result.video)
        assert path.stat().st_size < workspace.path("clip.mp4").stat().st_size
        assert len(frames(path)) == (20 if "fps" in wish else 50)

    def test_quality_or_bit_rate(self, workspace: FolderWorkspace) -> None:
        with pytest.raises(InvalidInput, match="not both"):
            transform(
                workspace, "convert-video", video="clip.mp4", output_format="mp4", quality=9, video_kbps=90
            )


class TestSoundAndStills:
    def test_extracts_by_copying(self, workspace: FolderWorkspace) -> None:
        result = transform(workspace, "extract-audio", video="clip.mp4")
        assert result.format == "m4a"
        assert packets(workspace.path(result.audio), 0) == packets(workspace.path("clip.mp4"), 1)

    def test_no_sound(self, workspace: FolderWorkspace) -> None:
        with pytest.raises(UnsupportedMedia, match="no sound"):
            transform(workspace, "extract-audio", video="silent.mp4")

    def test_no_video(self, workspace: FolderWorkspace) -> None:
        with pytest.raises(UnsupportedMedia, match="no video"):
            transform(workspace, "scale-video", video="tone.wav", width=80)

    def test_thumbnail_is_the_frame(self, workspace: FolderWorkspace) -> None:
        result = transform(workspace, "thumbnail-video", video="silent.mp4", time_s=0.4, output_format="png")
        picture = np.asarray(Image.open(workspace.path(result.image)))
        assert psnr(picture, frames(workspace.path("silent.mp4"))[10]) > 30

    def test_thumbnail_fits_its_box(self, workspace: FolderWorkspace) -> None:
        result = transform(workspace, "thumbnail-video", video="clip.mp4", width=40, height=40)
        assert (result.width, result.height, result.format) == (40, 30, "jpg")

    def test_probe(self, workspace: FolderWorkspace) -> None:
        info = transform(workspace, "probe-media", media="clip.mp4").info
        assert info.duration_s == pytest.approx(LENGTH_S)
        (video,), (audio,) = info.video, info.audio
        assert (video.codec, video.width, video.height, video.fps) == ("h264", *SIZE, FPS)
        assert (audio.codec, audio.channels, audio.sample_rate) == ("aac", 1, 44_100)


class TestUnusualVideos:
    def test_a_turned_video_is_scaled_upright(self, workspace: FolderWorkspace) -> None:
        make(
            workspace.path("turned.mp4"),
            "-display_rotation",
            "90",
            "-i",
            str(workspace.path("clip.mp4")),
            "-c",
            "copy",
        )
        assert transform(workspace, "probe-media", media="turned.mp4").info.video[0].width == 120
        result = transform(workspace, "scale-video", video="turned.mp4", width=60)
        assert frames(workspace.path(result.video))[0].shape == (80, 60, 3)

    def test_a_turn_survives_only_where_it_can(self, workspace: FolderWorkspace) -> None:
        make(
            workspace.path("turned.mp4"),
            "-display_rotation",
            "90",
            "-i",
            str(workspace.path("clip.mp4")),
            "-c",
            "copy",
        )
        for target, is_copied in (("mov", True), ("mkv", False)):
            result = transform(workspace, "convert-video", video="turned.mp4", output_format=target)
            path = workspace.path(result.video)
            assert (packets(path, 0) == packets(workspace.path("clip.mp4"), 0)) is is_copied
            assert frames(path)[0].shape == (160, 120, 3)

    def test_odd_sides(self, workspace: FolderWorkspace) -> None:
        make(workspace.path("odd.mkv"), "-f", "lavfi", "-i", "testsrc2=s=161x121:d=0.4", "-c:v", "ffv1")
        result = transform(workspace, "convert-video", video="odd.mkv", output_format="mp4")
        assert (result.width, result.height) == (160, 120)
        assert frames(workspace.path(result.video))[0].shape == (120, 160, 3)

    def test_ten_bits_become_eight(self, workspace: FolderWorkspace) -> None:
        make(
            workspace.path("deep.mkv"),
            *PICTURE,
            "-c:v",
            "libx265",
            "-x265-params",
            "log-level=error",
            "-pix_fmt",
            "yuv420p10le",
        )
        assert transform(workspace, "probe-media", media="deep.mkv").info.video[0].bit_depth == 10
        result = transform(workspace, "scale-video", video="deep.mkv", width=80)
        assert transform(workspace, "probe-media", media=result.video).info.video[0].bit_depth == 8

    def test_hdr_is_mapped(self, workspace: FolderWorkspace) -> None:
        colours = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=error"
        make(
            workspace.path("hdr.mp4"),
            *PICTURE,
            "-t",
            "0.4",
            "-c:v",
            "libx265",
            "-x265-params",
            colours,
            "-pix_fmt",
            "yuv420p10le",
        )
        assert transform(workspace, "probe-media", media="hdr.mp4").info.video[0].hdr == "PQ"
        result = transform(workspace, "scale-video", video="hdr.mp4", width=80)
        video = transform(workspace, "probe-media", media=result.video).info.video[0]
        assert (video.hdr, video.bit_depth, video.matrix) == (None, 8, "bt709")

    def test_a_changing_frame_rate_keeps_its_times(self, workspace: FolderWorkspace) -> None:
        make(
            workspace.path("varied.mkv"),
            *PICTURE,
            "-vf",
            "select='lt(n,10)+not(mod(n,7))'",
            "-fps_mode",
            "vfr",
            *X264,
        )
        result = transform(workspace, "scale-video", video="varied.mkv", width=80)
        wanted = [moment for moment, _ in timed_frames(workspace.path("varied.mkv"))]
        shown = [moment for moment, _ in timed_frames(workspace.path(result.video))]
        assert shown == pytest.approx(wanted, abs=0.002)

    def test_all_tracks_and_subtitles_are_kept_where_they_can(self, workspace: FolderWorkspace) -> None:
        subtitles = workspace.path("words.srt")
        subtitles.write_text("1\n00:00:00,100 --> 00:00:01,000\nHello\n")
        maps = ("-map", "0", "-map", "1", "-map", "1", "-map", "2", "-metadata:s:a:1", "language=fra")
        make(workspace.path("many.mkv"), *PICTURE, *TONE, "-i", str(subtitles), *maps, *X264, "-c:a", "aac")
        result = transform(workspace, "convert-video", video="many.mkv", output_format="mp4")
        assert codecs(workspace.path(result.video)) == ["h264", "aac", "aac", "mov_text"]
        info = transform(workspace, "probe-media", media=result.video).info
        assert info.audio[1].language == "fra"
        result = transform(workspace, "convert-video", video="many.mkv", output_format="avi")
        assert codecs(workspace.path(result.video)) == ["mpeg4", "mp3", "mp3"]
        assert result.notes == ("1 of 1 subtitles have no place in this format.",)
        extracted = transform(workspace, "extract-audio", video="many.mkv", track=1)
        assert extracted.format == "m4a"
        with pytest.raises(InvalidInput, match="2 tracks"):
            transform(workspace, "extract-audio", video="many.mkv", track=2)
