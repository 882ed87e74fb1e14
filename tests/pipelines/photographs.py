"""Photographs that scikit-image's package carries: CC0, in the public domain, and the page BSD-3-Clause."""

import importlib.util
from pathlib import Path

from PIL import Image

_SPEC = importlib.util.find_spec("skimage")
assert _SPEC, "install scikit-image, whose data the tests look at"
assert _SPEC.submodule_search_locations
_FOLDER = Path(next(iter(_SPEC.submodule_search_locations))) / "data"

CAT = _FOLDER / "chelsea.png"
"""A tabby kitten's face."""
COFFEE = _FOLDER / "coffee.png"
"""A cup of espresso."""
ASTRONAUT = _FOLDER / "astronaut.png"
"""A portrait; nothing that ImageNet's classes know."""
PAGE = _FOLDER / "page.png"
"""A printed page, 384 x 191, photographed."""
PAGE_LINES = (
    "Region-based segmentation",
    "Let us first determine markers of the coins and the",
    "background. These markers are pixels that we can label",
    "unambiguously as either object or background. Here,",
    "the markers are found at the two extreme parts of the",
    "histogram of grey values:",
)


def page_top() -> Image.Image:
    """Give the first two lines of the page, which are read faster than all."""
    return Image.open(PAGE).convert("RGB").crop((0, 0, 384, 68))
