"""Makes checkpoints of the real families at tiny size, with random weights: the same ones every time."""

import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

SIDE = 64
"""Pixels of the squares that the SDXL checkpoint is made for."""
WINDOW = 77
"""Tokens of CLIP's window, two marks included."""
START, END = "<|startoftext|>", "<|endoftext|>"
WIDTH = 32
"""Of each text encoder's embeddings."""
SENTENCES = [
    "a red fox runs over the snow in the morning light",
    "an oil painting of a quiet harbour with small blue boats",
    "the photograph of a green apple on a wooden table, blurry, low quality",
    "two cats sleep beside the window while it rains",
]


def write_sdxl(folder: Path) -> Path:
    """Write a checkpoint of SDXL, and give its folder."""
    with _seed(1):
        tokenizer = _clip_tokenizer()
        pipe = StableDiffusionXLPipeline(
            vae=_autoencoder(scaling_factor=0.13),
            text_encoder=CLIPTextModel(_clip_config(tokenizer)),
            text_encoder_2=CLIPTextModelWithProjection(_clip_config(tokenizer)),
            tokenizer=tokenizer,
            tokenizer_2=_clip_tokenizer(pad="!"),
            unet=sdxl_unet(),
            scheduler=EulerDiscreteScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                timestep_spacing="leading",
                steps_offset=1,
            ),
        )
    return _saved(pipe, folder)


def write_flux(folder: Path, dev: bool = False) -> Path:
    """Write a checkpoint of Flux.1 Schnell, or of Dev, which takes a guidance; give its folder."""
    with _seed(2):
        tokenizer = _clip_tokenizer()
        pipe = FluxPipeline(
            vae=_autoencoder(
                scaling_factor=0.36, shift_factor=0.12, use_quant_conv=False, use_post_quant_conv=False
            ),
            text_encoder=CLIPTextModel(_clip_config(tokenizer)),
            text_encoder_2=T5EncoderModel(_t5_config()),
            tokenizer=tokenizer,
            tokenizer_2=_t5_tokenizer(),
            transformer=_flux_transformer(dev),
            scheduler=FlowMatchEulerDiscreteScheduler(
                shift=3.0 if dev else 1.0, use_dynamic_shifting=dev, max_shift=1.15, base_shift=0.5
            ),
        )
    return _saved(pipe, folder)


def sdxl_unet(width: int = 32) -> Any:
    """Make SDXL's UNet; with another width, one that its LoRAs do not fit."""
    unet = UNet2DConditionModel(
        sample_size=SIDE // 8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(width, 2 * width),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=1,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        cross_attention_dim=2 * WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=WIDTH + 6 * 8,
        norm_num_groups=8,
    )
    return _louder(unet, unet.conv_out)


def _words() -> list[str]:
    return sorted({word for sentence in SENTENCES for word in sentence.replace(",", "").split()})


def _clip_tokenizer(pad: str = END) -> Any:
    """Make CLIP's tokenizer; it knows every byte, and each word of the sentences is one token.

    By hand, as the trainer numbers the tokens differently each time.
    """
    pieces = [START, END, *[letter + end for end in ("", "</w>") for letter in sorted(ByteLevel.alphabet())]]
    merges = []
    for word in _words():
        for length in range(2, len(word) + 1):
            end = "</w>" if length == len(word) else ""
            pieces.append(word[:length] + end)
            merges.append((word[: length - 1], word[length - 1] + end))
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    merges = list(dict.fromkeys(merges))
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=WINDOW, pad_token=pad)


def _t5_tokenizer() -> Any:
    """Make T5's tokenizer: each word of the sentences is one token, others are spelt."""
    marks = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -6.0)]
    letters = [(letter, -8.0) for letter in string.printable.strip()]
    return T5Tokenizer(vocab=[*marks, *letters, *[(f"▁{word}", -7.0) for word in _words()]], extra_ids=0)


def _flux_transformer(dev: bool) -> Any:
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=dev,
        axes_dims_rope=(4, 4, 8),
    )
    return _louder(transformer, transformer.proj_out, 12.0)


def _louder(model: Any, last: Any, times: float = 4.0) -> Any:
    """Let random weights have a say: without it all pictures of one seed look alike."""
    with torch.no_grad():
        last.weight *= times
    return model


def _autoencoder(**differences: Any) -> Any:
    return AutoencoderKL(
        latent_channels=4,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        sample_size=SIDE,
        force_upcast=False,
        **differences,
    )


def _clip_config(tokenizer: Any) -> Any:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=WIDTH,
        max_position_embeddings=WINDOW,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _t5_config() -> Any:
    return T5Config(
        vocab_size=160,
        d_model=WIDTH,
        d_kv=16,
        d_ff=2 * WIDTH,
        num_layers=1,
        num_heads=2,
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
    )


def _saved(pipe: Any, folder: Path) -> Path:
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


@contextmanager
def _seed(seed: int) -> Iterator[None]:
    """Draw the weights from this seed, and leave the random numbers of others alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
