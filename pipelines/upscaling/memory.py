"""Tells a lack of memory from other failures of the engine."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from pipelines.errors import OutOfMemory


@contextmanager
def memory_needed(size_bytes: int) -> Iterator[None]:
    """Turn the engine's lack of memory in the block into ours.

    Args:
        size_bytes: what the block needs at most.

    Raises:
        OutOfMemory: there is less.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory() from error
    except RuntimeError as error:
        # On a CPU torch has no class of its own for it: ask for as much, while the block holds its part.
        if _is_free(size_bytes):
            raise
        raise _out_of_memory() from error


def _is_free(size_bytes: int) -> bool:
    try:
        np.empty(size_bytes, np.uint8)
    except MemoryError:
        return False
    return True


def _out_of_memory() -> OutOfMemory:
    return OutOfMemory("Enlarging this picture needs more memory than there is. Send a smaller one.", "image")
