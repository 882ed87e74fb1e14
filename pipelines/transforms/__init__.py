"""The media operations without a model; a new one is one file here and its name in `TRANSFORMS`."""

from typing import Any

from pipelines.tasks.base import Transform
from pipelines.transforms.convert import CONVERT_IMAGE
from pipelines.transforms.crop import CROP_IMAGE
from pipelines.transforms.scale import SCALE_IMAGE
from pipelines.transforms.watermark import WATERMARK_IMAGE

TRANSFORMS: dict[str, Transform[Any, Any]] = {
    transform.name: transform for transform in (SCALE_IMAGE, CROP_IMAGE, WATERMARK_IMAGE, CONVERT_IMAGE)
}
