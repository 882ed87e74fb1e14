"""Files in the artifact store, for the tests of its routes."""

import subprocess
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile

from PIL import Image

from cluster.artifacts.store import Area, ArtifactStore
from pipelines.media.ffmpeg import binary
from pipelines.tasks.base import MediaLimits


@dataclass(frozen=True)
class Put:
    """Stores files in the test's store."""

    store: ArtifactStore

    def __call__(
        self, data: bytes, extension: str = "wav", area: Area = Area.RESULT, owner: str = "0"
    ) -> str:
        """Store a file and give its key."""
        with self.store.create(area=area, owner=owner, extension=extension) as writer:
            writer.file.write(data)
        return writer.key


def picture(width: int, height: int) -> bytes:
    """Draw a PNG."""
    buffer = BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


@cache
def film(width: int = 320, height: int = 180) -> bytes:
    """Give two seconds of a test picture and a tone, as an mp4."""
    sources = ("-f", "lavfi", "-i", f"testsrc2=s={width}x{height}:r=5:d=2", "-f", "lavfi", "-i", "sine=d=2")
    with NamedTemporaryFile(suffix=".mp4") as file:
        command = [
            binary(MediaLimits()),
            "-v",
            "error",
            "-nostdin",
            "-y",
            *sources,
            "-threads",
            "1",
            file.name,
        ]
        subprocess.run(command, check=True)
        return Path(file.name).read_bytes()
