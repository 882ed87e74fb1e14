"""Image upscaling with Real-ESRGAN: its published weights, as ncnn's files hold them, in plain torch."""

from pathlib import Path

from pipelines.errors import ModelLoadError
from pipelines.images import Encoding, Picture, check_pixels, colour, encoding_for, open_image, write_still
from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.tasks.base import Workspace
from pipelines.tasks.image_upscale import ImageUpscaleRequest, ImageUpscaleResult
from pipelines.upscaling.networks import NetworkName
from pipelines.upscaling.transparency import enlarge
from pipelines.upscaling.upscaler import Precision, Upscaler


class RealEsrganOptions(PipelineOptions):
    """Which network enlarges, and how freely."""

    network: NetworkName = "drawing"
    """``drawing`` (animevideov3) is the fastest by far, and good for photographs, too; ``photo`` (x4plus)
    invents the most detail, in 30 times the time; ``illustration`` (x4plus-anime), for line art, takes 8."""
    faithful: bool = True
    """The result, scaled down again, is the picture. False leaves the network free: it takes away noise and
    the traces of compression, but also texture, and shifts colours."""
    dtype: Precision | None = None
    """None: float32 on a CPU, float16 on a GPU. ``bfloat16`` is twice as fast on a CPU that has instructions
    for it (``avx512_bf16``, ``amx_bf16``), and rarely off by more than 1 of 255 levels."""


class RealEsrganPipeline:
    """Enlarges 2, 3 or 4 times; threads may share it. Nothing in it is random.

    The weights are a folder with the ``.param`` and ``.bin`` of the network, or one of these two files. Every
    network enlarges 4 times; 2 and 3 are scaled down from there.
    """

    Options = RealEsrganOptions

    def __init__(self, weights: Path | None, options: RealEsrganOptions, engine: EngineSettings) -> None:
        if weights is None:
            raise ModelLoadError(
                "Real-ESRGAN needs a 'source' that leads to the folder of its .param and .bin"
            )
        self._upscaler = Upscaler.load(
            weights,
            options.network,
            device=engine.device,
            threads=engine.threads,
            faithful=options.faithful,
            dtype=options.dtype,
        )

    def image_upscale(self, request: ImageUpscaleRequest, workspace: Workspace) -> ImageUpscaleResult:
        """Enlarge a picture; of an animation its first frame, of 16 bits per channel the upper eight."""

        def on_tile(share: float) -> None:
            workspace.check_cancelled()
            workspace.report(share, "Upscaling")

        limit = workspace.limits.image_pixels
        with open_image(workspace.input(request.image), "image", limit) as picture:
            encoding = _encoding(picture, request, limit)
            image = picture.frame().image
            if not encoding.profile:
                image = colour.to_srgb(image, picture.profile)
            notes = tuple(picture.first_frame_notes)
        enlarged = enlarge(self._upscaler, image, request.scale, on_tile)
        with workspace.output(encoding.format.extension) as output:
            write_still(enlarged, output.file, encoding)
        width, height = enlarged.size
        return ImageUpscaleResult(
            image=output.key, width=width, height=height, format=encoding.format, notes=notes
        )


def _encoding(picture: Picture, request: ImageUpscaleRequest, max_pixels: int) -> Encoding:
    """Decide how the result is written, after all checks that the picture's header allows."""
    width, height = (side * request.scale for side in picture.size)
    check_pixels((width, height), 1, max_pixels, "scale", "result")
    encoding = encoding_for(picture, request.output_format, request.quality)
    encoding.check_size((width, height), "output_format")
    return encoding
