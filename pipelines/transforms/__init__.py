"""The media operations without a model; a new one is one file here and its name in `TRANSFORMS`."""

from typing import Any

from pipelines.tasks.base import Transform
from pipelines.transforms.convert import CONVERT_IMAGE
from pipelines.transforms.convert_audio import CONVERT_AUDIO
from pipelines.transforms.convert_video import CONVERT_VIDEO
from pipelines.transforms.crop import CROP_IMAGE
from pipelines.transforms.crop_video import CROP_VIDEO
from pipelines.transforms.extract_audio import EXTRACT_AUDIO
from pipelines.transforms.probe_media import PROBE_MEDIA
from pipelines.transforms.scale import SCALE_IMAGE
from pipelines.transforms.scale_video import SCALE_VIDEO
from pipelines.transforms.thumbnail_video import THUMBNAIL_VIDEO
from pipelines.transforms.trim_video import TRIM_VIDEO
from pipelines.transforms.watermark import WATERMARK_IMAGE
from pipelines.transforms.watermark_video import WATERMARK_VIDEO

_IMAGES = (SCALE_IMAGE, CROP_IMAGE, WATERMARK_IMAGE, CONVERT_IMAGE)
_VIDEOS = (SCALE_VIDEO, CROP_VIDEO, WATERMARK_VIDEO, CONVERT_VIDEO, TRIM_VIDEO, THUMBNAIL_VIDEO)
_SOUND = (CONVERT_AUDIO, EXTRACT_AUDIO)

TRANSFORMS: dict[str, Transform[Any, Any]] = {
    transform.name: transform for transform in (*_IMAGES, *_VIDEOS, *_SOUND, PROBE_MEDIA)
}
