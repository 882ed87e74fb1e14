import pytest
import torch
from diffusers import AutoencoderKL
from torch.nn import functional

from pipelines.training import autoencoder


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """Smooth random pictures: neighbours are alike, as in real ones."""
    torch.manual_seed(1)
    coarse = torch.rand(16, 3, 16, 16) * 2 - 1
    return functional.interpolate(coarse, size=(128, 128), mode="bicubic").clamp(-1, 1)


@pytest.fixture(scope="module")
def network(pictures: torch.Tensor) -> AutoencoderKL:
    """The autoencoder, its encoder fitted to the pictures."""
    network = autoencoder.build().eval()
    autoencoder.fit_encoder(network, pictures)
    return network


@torch.inference_mode()
def test_the_computed_encoder_is_linear_and_whitens(network: AutoencoderKL, pictures: torch.Tensor) -> None:
    found = network.encode(pictures).latent_dist
    latents = found.mode()
    assert latents.shape == (16, 4, 16, 16)
    assert found.std.max() < 1e-4
    assert torch.allclose(torch.cov(latents.permute(1, 0, 2, 3).flatten(1)), torch.eye(4), atol=0.02)
    between = network.encode((pictures[:4] + pictures[4:8]) / 2).latent_dist.mode()
    assert torch.allclose(between, (latents[:4] + latents[4:8]) / 2, atol=0.01)


@torch.inference_mode()
def test_the_short_cut_gives_what_the_encoder_gives(network: AutoencoderKL, pictures: torch.Tensor) -> None:
    slow = network.encode(pictures[:4]).latent_dist.mode()
    quick = autoencoder.encode(network, functional.avg_pool2d(pictures[:4], 2))
    assert torch.allclose(slow, quick, atol=0.01)
