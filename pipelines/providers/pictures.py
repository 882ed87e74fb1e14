"""Pictures on their way to a provider and back: in the size, shape and format that either side wants."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from shutil import copyfileobj
from typing import TypeAlias

from PIL import Image

from pipelines.diffusion.inputs import read_mask, read_picture
from pipelines.errors import BeyondModel, InvalidInput
from pipelines.images import Encoding, PictureFormat, Size, open_image, write_still
from pipelines.images.colour import to_srgb, with_rgb
from pipelines.images.shapes import unwidened, widened
from pipelines.providers.http import ProviderHttp
from pipelines.tasks.base import MediaKey, Workspace
from pipelines.tasks.drawing import DrawnImage, DrawRequest, DrawResult, EncodedPreview
from pipelines.tasks.image_to_image import ImageToImageRequest
from pipelines.tasks.image_with_mask import ImageWithMaskRequest

Finish: TypeAlias = Callable[[Image.Image], Image.Image]
"""Makes of a provider's picture what was asked for; the same object where nothing is to be done."""


@dataclass(frozen=True)
class Stored:
    """A picture in the artifact store."""

    key: MediaKey
    size: Size
    came_as: Size
    """As the provider made it."""


def store(path: Path, encoding: Encoding, finish: Finish, workspace: Workspace, as_is: bool) -> Stored:
    """Check a provider's picture, finish it and write it into the artifact store; to be called in a thread.

    Args:
        path: of the picture.
        encoding: of the result.
        finish: makes the result.
        workspace: of the run.
        as_is: whether the file itself may stay, if it is one of that format and nothing is to be done.

    Raises:
        InvalidInput: it is none, is damaged, or too large.
    """
    image, format_ = _decoded(path, workspace)
    finished = finish(image)
    with workspace.output(encoding.format.extension) as output:
        if as_is and finished is image and format_ is encoding.format:
            with path.open("rb") as file:
                copyfileobj(file, output.file)
        else:
            write_still(finished, output.file, encoding)
    return Stored(output.key, finished.size, image.size)


def _decoded(path: Path, workspace: Workspace) -> tuple[Image.Image, PictureFormat]:
    with open_image(path, "image", workspace.limits.image_pixels) as picture:
        return with_rgb(to_srgb(picture.frame().image, picture.profile)), picture.format


@contextmanager
def usable(http: ProviderHttp) -> Iterator[None]:
    """Make faults of a picture inside the block the provider's, whose picture it is."""
    try:
        yield
    except InvalidInput as error:
        raise http.failed(f"sends a picture that cannot be used ({error})") from error


class Album:
    """The pictures of one request, each stored as it comes: a batch may be large."""

    def __init__(
        self,
        http: ProviderHttp,
        request: DrawRequest,
        workspace: Workspace,
        finish: Finish,
        *,
        knows_quality: bool = False,
    ) -> None:
        """Begin with none.

        Args:
            http: of the provider.
            request: what was asked for.
            workspace: of the run.
            finish: makes of each picture what was asked for.
            knows_quality: whether the provider was told the quality, so that its files may stay as they are.
        """
        self._http = http
        self._request = request
        self._workspace = workspace
        self._finish = finish
        self._as_is = knows_quality or request.quality is None
        self._images: list[DrawnImage] = []
        self._notes: list[str] = []

    @property
    def is_full(self) -> bool:
        """Whether there are as many as were asked for."""
        return len(self._images) >= self._request.batch_size

    async def add(self, path: Path, seed: int) -> None:
        """Store the next picture."""
        request = self._request
        lossless = request.keeps_pixels and request.quality is None
        encoding = Encoding(request.output_format, request.quality, lossless=lossless)
        with usable(self._http):
            stored = await asyncio.to_thread(
                store, path, encoding, self._finish, self._workspace, self._as_is
            )
        if stored.came_as != stored.size:
            self.note(f"Drawn at {_text(stored.came_as)} and scaled to {_text(stored.size)}.")
        width, height = stored.size
        self._images.append(
            DrawnImage(image=stored.key, width=width, height=height, seed=seed, format=request.output_format)
        )
        self._workspace.report(len(self._images) / request.batch_size)

    async def preview(self, path: Path, number: int) -> EncodedPreview:
        """Make a preview of a picture on its way, in the size and format that its end will have."""
        format_ = self._request.output_format

        def encoded() -> bytes:
            file = BytesIO()
            image = self._finish(_decoded(path, self._workspace)[0])
            write_still(image, file, Encoding(format_, self._request.quality))
            return file.getvalue()

        with usable(self._http):
            return EncodedPreview(await asyncio.to_thread(encoded), format_, number)

    def note(self, sentence: str) -> None:
        """Add a sentence for people, once."""
        if sentence not in self._notes:
            self._notes.append(sentence)

    def result(self) -> DrawResult:
        """Give all of them; a `ProviderError` if there is none."""
        if not self._images:
            raise self._http.failed("answers without a picture")
        return DrawResult(images=tuple(self._images), notes=tuple(self._notes))


def scaled_to(size: Size | None) -> Finish:
    """Bring pictures to a size; to its shape by repeating their outermost pixels, as for our own models."""

    def finish(image: Image.Image) -> Image.Image:
        return image if size is None or size == image.size else _resized(widened(image, size), size)

    return finish


def redrawn(request: ImageToImageRequest, size: Size, workspace: Workspace) -> Finish:
    """Bring redrawn pictures to the size of what they were drawn from, and put back what shall stay."""

    def finish(image: Image.Image) -> Image.Image:
        if image.size != size:
            image = unwidened(image, size)
        if isinstance(request, ImageWithMaskRequest) and request.keep_unmasked:
            original = _original(request, workspace)[0]
            return Image.composite(image.convert("RGB"), original, _mask(request, size, workspace)[0])
        return image

    return finish


def sides(width: int | None, height: int | None) -> Size | None:
    """Give the size that is asked for; a square where only one side is."""
    width, height = width or height, height or width
    return (width, height) if width and height else None


def left_out(request: DrawRequest, names: tuple[str, ...], whose: str) -> list[str]:
    """Say which of the fields that only tune were given, although they cannot be sent."""
    given = [name for name in names if name in request.model_fields_set and getattr(request, name)]
    return [f"{whose} does not take {', '.join(given)}: left out."] if given else []


def refuse_loras(request: DrawRequest, whose: str) -> None:
    """Raise `InvalidInput` if LoRAs of ours are asked for: without them it would be another picture."""
    if request.loras:
        raise BeyondModel(f"{whose} has no LoRAs of this server: leave them out.", "loras")


@dataclass(frozen=True)
class Sent:
    """What a provider gets to redraw."""

    image: bytes
    """PNG."""
    mask: bytes | None
    """PNG of the same size."""
    size: Size
    """Of the picture that it was made from."""
    notes: tuple[str, ...]


def picture_size(key: MediaKey, workspace: Workspace) -> Size:
    """Look up the size of an input picture; to be called in a thread."""
    with open_image(workspace.input(key), "image", workspace.limits.image_pixels) as picture:
        return picture.size


def png_of(key: MediaKey, workspace: Workspace) -> Sent:
    """Make what a provider enlarges, with its transparency; to be called in a thread."""
    with open_image(workspace.input(key), "image", workspace.limits.image_pixels) as picture:
        image = with_rgb(to_srgb(picture.frame().image, picture.profile))
        notes = picture.first_frame_notes
    return Sent(_png(image), None, image.size, tuple(notes))


def to_send(request: ImageToImageRequest, shape: Size | None, workspace: Workspace, *, alpha: bool) -> Sent:
    """Make what a provider redraws: of its shape, and no larger; to be called in a thread.

    Args:
        request: names the picture, and maybe its mask.
        shape: the size at which the provider draws; None takes what it gets.
        workspace: of the run.
        alpha: whether masks are transparent where to repaint (OpenAI's way), or white.
    """
    image, notes = _original(request, workspace)
    size = image.size
    data, mask = _png(_shaped(image, shape)), None
    del image
    if isinstance(request, ImageWithMaskRequest):
        white, said = _mask(request, size, workspace)
        white, notes = _shaped(white, shape), [*notes, *said]
        mask = _png(_with_holes(white) if alpha else white)
    return Sent(data, mask, size, tuple(notes))


def _with_holes(white: Image.Image) -> Image.Image:
    holes = Image.new("RGBA", white.size)
    holes.putalpha(white.point(lambda value: 255 - value))
    return holes


def _shaped(image: Image.Image, shape: Size | None) -> Image.Image:
    if shape is None:
        return image
    image = widened(image, shape)
    return image if image.width <= shape[0] else _resized(image, shape)


def _original(request: ImageToImageRequest, workspace: Workspace) -> tuple[Image.Image, list[str]]:
    return read_picture(workspace.input(request.image), workspace.limits.image_pixels)


def _mask(request: ImageWithMaskRequest, size: Size, workspace: Workspace) -> tuple[Image.Image, list[str]]:
    path = workspace.input(request.mask)
    return read_mask(path, request.mask_channel, size, workspace.limits.image_pixels)


def _resized(image: Image.Image, size: Size) -> Image.Image:
    return image.resize(size, Image.Resampling.LANCZOS)


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    write_still(image, file, Encoding(PictureFormat.PNG))
    return file.getvalue()


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
