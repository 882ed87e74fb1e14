"""Files in the artifact store, for the tests of its routes."""

from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from cluster.artifacts.store import Area, ArtifactStore


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
