"""The one way in which pipelines use torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from pipelines.errors import ModelLoadError, OutOfMemory

_CPU_SIGNS = ("DefaultCPUAllocator", "bad_alloc")
"""On a GPU a lack of memory has a class of its own; on a CPU it is a RuntimeError that says one of these."""
_TOO_LITTLE = "This needs more memory than there is. Ask for less, or for something smaller."


def torch_device(name: Literal["cpu", "cuda"]) -> torch.device:
    """Give the device that torch shall use.

    Raises:
        ModelLoadError: a GPU is configured that torch does not see.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelLoadError(
            "a GPU is configured, but torch finds none. Check the driver and that torch is a CUDA build, "
            "or set device: cpu."
        )
    return torch.device(name)


@contextmanager
def inference(threads: int) -> Iterator[None]:
    """Compute without gradients, in so many threads.

    Raises:
        OutOfMemory: the GPU or the machine has too little.
    """
    # OpenMP has a setting for each thread; without this one oneDNN takes all cores in every new thread.
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(_TOO_LITTLE) from error
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _CPU_SIGNS):
            raise
        raise OutOfMemory(_TOO_LITTLE) from error
