"""Smaller or larger versions of stored pictures, made when they are first asked for."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from cluster.artifacts.keys import parse_key
from cluster.artifacts.local import LocalWriter
from cluster.artifacts.media_types import is_picture
from cluster.artifacts.store import ArtifactNotFound, ArtifactStore, ArtifactWriter
from cluster.gate import Priority, PriorityGate
from deployments.errors import BadRequest, Busy, NotSupported
from deployments.workspace import RunWorkspace
from pipelines.images import PictureFormat
from pipelines.tasks.base import RunLimits
from pipelines.transforms.scale import SCALE_IMAGE, ScaleImageRequest

MAX_SIDE = 4096
"""Pixels."""

MAX_WAITING = 20
"""Variants that may wait to be made; anybody may ask for them, so the line ends somewhere."""

_gate = PriorityGate(2)
"""Few at once, so that they leave the other requests their share of the processor."""

_OPTION = re.compile(r"(width|height)=([0-9]{1,4})")


@dataclass(frozen=True)
class Variant:
    """The box that the picture is fitted into; it keeps its aspect."""

    width: int | None = None
    height: int | None = None

    @property
    def suffix(self) -> str:
        """How its files are named beside the original: ``100w.webp``, ``100w75h.webp``."""
        sides = ((self.width, "w"), (self.height, "h"))
        return "".join(f"{pixels}{letter}" for pixels, letter in sides if pixels) + ".webp"

    def request_for(self, key: str) -> ScaleImageRequest:
        """Ask for this variant of a picture; a side that is left open ends at `MAX_SIDE`."""
        return ScaleImageRequest(
            image=key,
            width=self.width or MAX_SIDE,
            height=self.height or MAX_SIDE,
            output_format=PictureFormat.WEBP,
        )


def parse_variant(text: str) -> Variant:
    """Read ``width=100``, ``height=75`` or ``width=100,height=75``.

    Raises:
        BadRequest: there is another option, or a size out of range.
        NotSupported: there is no option at all.
    """
    sides: dict[str, int] = {}
    for option in filter(None, text.split(",")):
        match = _OPTION.fullmatch(option)
        if match is None or match[1] in sides or not 1 <= int(match[2]) <= MAX_SIDE:
            raise BadRequest(
                f"variant: {option[:40]!r} is not understood. "
                f"Use width=N, height=N, or both with a comma; N from 1 to {MAX_SIDE}.",
                "variant",
            )
        sides[match[1]] = int(match[2])
    if not sides:
        raise NotSupported("A variant needs width=N, height=N, or both with a comma.", "variant")
    return Variant(**sides)


async def variant_of(store: ArtifactStore, key: str, variant: Variant, limits: RunLimits) -> str:
    """Give the key of a variant; make it if this is the first time that it is asked for.

    Raises:
        ArtifactNotFound: there is no such original.
        BadRequest: the original is no picture.
        Busy: too many variants wait to be made.
        PipelineError: the original is damaged or over the limits.
    """
    if made := await asyncio.to_thread(_existing, store, key, variant):
        return made
    if _gate.waiting >= MAX_WAITING:
        raise Busy
    async with _gate.permit(Priority.NORMAL):
        return await asyncio.to_thread(_make, store, key, variant, limits)


def _existing(store: ArtifactStore, key: str, variant: Variant) -> str | None:
    beside = parse_key(key).beside(variant.suffix)
    store.stat(key)  # an original that was deleted has no variants any more
    try:
        return store.stat(beside).key
    except ArtifactNotFound:
        return None


def _make(store: ArtifactStore, key: str, variant: Variant, limits: RunLimits) -> str:
    if made := _existing(store, key, variant):
        return made  # by the request before this one, while this one waited
    if not is_picture(parse_key(key).extension):
        raise BadRequest("Only pictures have variants; this file is none.", "path")
    workspace = _Beside(store, key, variant.suffix, limits)
    return SCALE_IMAGE.run(variant.request_for(key), workspace).image


class _Beside(RunWorkspace):
    """The workspace of a transform whose output goes beside its input."""

    def __init__(self, store: ArtifactStore, key: str, suffix: str, limits: RunLimits) -> None:
        super().__init__(store, parse_key(key).owner, limits)
        self._key = key
        self._suffix = suffix

    @contextmanager
    def output(self, extension: str) -> Iterator[ArtifactWriter]:
        buffer = BytesIO()
        writer = LocalWriter(buffer)
        yield writer
        writer.finish(self._artifacts.put_beside(self._key, self._suffix, buffer.getvalue()))
