import pytest
import torch

from pipelines.errors import ModelLoadError, OutOfMemory
from pipelines.torch_engine import inference, torch_device

MORE_THAN_THERE_IS = 2**50


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_too_little_memory_has_its_own_error(error: Exception) -> None:
    with pytest.raises(OutOfMemory, match="more memory"), inference(1):
        raise error


def test_a_cpu_that_is_full_too() -> None:
    with pytest.raises(OutOfMemory), inference(1):
        torch.empty(MORE_THAN_THERE_IS)


def test_other_failures_of_the_engine_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="must match"), inference(1):
        torch.ones(2) + torch.ones(3)


def test_gradients_are_off_only_inside() -> None:
    with inference(1):
        assert torch.is_inference_mode_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_names_the_remedy() -> None:
    with pytest.raises(ModelLoadError, match="device: cpu"):
        torch_device("cuda")
