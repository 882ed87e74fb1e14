"""Tells what is in a file of sound or video."""

from pipelines.media.info import MediaInfo
from pipelines.media.sources import open_media
from pipelines.tasks.base import MediaKey, TaskRequest, TaskResult, Transform, Workspace


class ProbeResult(TaskResult):
    """What is in it."""

    info: MediaInfo


class ProbeMediaRequest(TaskRequest[ProbeResult]):
    """One file."""

    media: MediaKey


def run(request: ProbeMediaRequest, workspace: Workspace) -> ProbeResult:
    """Look into the file."""
    with open_media(workspace, request.media, "media") as source:
        return ProbeResult(info=source.info)


PROBE_MEDIA = Transform(name="probe-media", request=ProbeMediaRequest, result=ProbeResult, do=run)
