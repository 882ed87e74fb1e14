"""The one way in which the models that see use torch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipelines.errors import ModelLoadError, OutOfMemory
from pipelines.loading import EngineSettings


def prepare(engine: EngineSettings) -> torch.device:
    """Give the device that torch shall use.

    Raises:
        ModelLoadError: a GPU is configured that torch does not see.
    """
    if engine.device == "cuda" and not torch.cuda.is_available():
        raise ModelLoadError(
            "a GPU is configured, but torch finds none. Check the driver and that torch is a CUDA build, "
            "or set device: cpu."
        )
    return torch.device(engine.device)


@contextmanager
def inference(threads: int) -> Iterator[None]:
    """Compute without gradients, in so many threads.

    Raises:
        OutOfMemory: the GPU or the machine has too little.
    """
    torch.set_num_threads(threads)  # OpenMP keeps this for each thread that calls it
    try:
        with torch.inference_mode():
            yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory("The model needs more memory for this than there is.") from error
