"""From what the model drew to what was asked for: enlarged, and put back into the picture it came from."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from PIL import Image

from pipelines.diffusion.options import ContentCheckOption, UpscaleOption
from pipelines.errors import ModelLoadError
from pipelines.images import Size
from pipelines.loading import EngineSettings, import_class
from pipelines.sources import package_root
from pipelines.upscaling.upscaler import Upscaler

POLL_S = 0.1
"""How long a cancelled request may go unnoticed while it waits."""
LARGEST_SCALE = 4
"""Of the upscaler; the rest is interpolated."""


class ContentCheck(Protocol):
    """Judges pictures. Its constructor takes the engine's settings."""

    def score(self, image: Image.Image) -> float:
        """Say how unfit for a public a picture is, from 0 to 1."""


class Enlarger:
    """Brings pictures to a size, with an upscaler where there is one.

    It works in the threads of the requests, one at a time, while the drawing thread draws the next picture.
    """

    def __init__(self, option: UpscaleOption | None, engine: EngineSettings) -> None:
        """Load the upscaler that the option names.

        Raises:
            ModelLoadError: there is none.
        """
        self._upscaler: Upscaler | None = None
        self._one_at_a_time = threading.Lock()
        if option:
            # Not faithful: a small model's picture is soft, and faithful to that is soft and ringing.
            self._upscaler = Upscaler.load(
                _weights(option), option.network, device=engine.device, threads=engine.threads, faithful=False
            )

    def enlarge(self, image: Image.Image, size: Size, on_tile: Callable[[float], None]) -> Image.Image:
        """Give the picture at exactly that size.

        Args:
            image: RGB.
            size: width and height in pixels.
            on_tile: called now and then; what it raises stops the work.
        """
        if image.size == size:
            return image
        factor = max(size[0] / image.width, size[1] / image.height)
        if self._upscaler and factor > 1:
            scale = min(LARGEST_SCALE, max(2, -int(-factor // 1)))
            while not self._one_at_a_time.acquire(timeout=POLL_S):
                on_tile(0)
            try:
                image = self._upscaler.upscale(image, scale, on_tile)
            finally:
                self._one_at_a_time.release()
        return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def pasted(drawn: Image.Image, original: Image.Image, mask: Image.Image) -> Image.Image:
    """Put the original back wherever the mask is not white; soft edges blend."""
    return Image.composite(drawn, original, mask)


def load_check(option: ContentCheckOption | None, engine: EngineSettings) -> ContentCheck | None:
    """Load the content check that the configuration names.

    Raises:
        ModelLoadError: there is no such class.
    """
    if option is None:
        return None
    check: ContentCheck = import_class("content_check", option.check)(engine)
    return check


def _weights(option: UpscaleOption) -> Path:
    folder = Path(option.weights).expanduser()
    if folder.is_absolute():
        return folder
    package, _, path = option.weights.partition("/")
    root = package_root(package)
    if root is None:
        raise ModelLoadError(f"upscale: the package {package} is not installed. Install it, or leave it out.")
    return root / path
