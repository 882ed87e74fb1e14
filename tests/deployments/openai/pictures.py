"""Pictures for the tests of /v1/images."""

import base64
from io import BytesIO

from PIL import Image

from tests.deployments.stored import picture

CAT = picture(96, 64)
IMAGE = ("cat.png", CAT, "image/png")
MASK = ("mask.png", picture(48, 32), "image/png")


def opened(data: bytes | str | None) -> Image.Image:
    """Open a picture, from base64 if it is text."""
    assert data is not None
    return Image.open(BytesIO(base64.b64decode(data) if isinstance(data, str) else data))
