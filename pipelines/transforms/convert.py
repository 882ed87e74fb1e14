"""Converts pictures to another format."""

from pipelines.images import PictureFormat
from pipelines.tasks.base import Transform, Workspace
from pipelines.transforms.base import Edit, ImageRequest, ImageResult, encoding_for, open_input, render


class ConvertImageRequest(ImageRequest):
    """One picture and its new format; of an animation a still format gets the first frame."""

    output_format: PictureFormat


def run(request: ConvertImageRequest, workspace: Workspace) -> ImageResult:
    """Convert the picture."""
    with open_input(request, workspace) as picture:
        return render(picture, Edit(picture.size), encoding_for(picture, request), workspace)


CONVERT_IMAGE = Transform(name="convert-image", request=ConvertImageRequest, result=ImageResult, do=run)
