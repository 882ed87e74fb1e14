"""Pictures: opened safely, decoded to 8-bit pixels in display orientation, encoded again."""

from pipelines.images.checks import Size, check_pixels
from pipelines.images.encoding import check_quality, encoding_for
from pipelines.images.formats import PictureFormat
from pipelines.images.reading import Frame, Picture, check_image, open_image
from pipelines.images.writing import Encoding, write_animation, write_still

__all__ = [
    "Encoding",
    "Frame",
    "Picture",
    "PictureFormat",
    "Size",
    "check_image",
    "check_pixels",
    "check_quality",
    "encoding_for",
    "open_image",
    "write_animation",
    "write_still",
]
