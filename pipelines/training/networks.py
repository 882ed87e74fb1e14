"""The networks of both models, at the sizes that one core trains in about an hour."""

from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from pipelines.training.vocabulary import LENGTH

SMALL_TEXT, LARGE_TEXT = 64, 128
"""Widths of the two CLIP text encoders."""


def small_clip(vocabulary: int) -> CLIPTextModel:
    """SDXL's first text encoder: 2 layers of 64."""
    return CLIPTextModel(_clip_config(vocabulary, SMALL_TEXT, 2))


def large_clip(vocabulary: int) -> CLIPTextModelWithProjection:
    """SDXL's second text encoder, the one whose end token is pooled: 3 layers of 128."""
    return CLIPTextModelWithProjection(_clip_config(vocabulary, LARGE_TEXT, 3))


def text_model_of(encoder: CLIPTextModelWithProjection) -> CLIPTextModel:
    """Return the second encoder without its projection: Flux's CLIP, whose end token is pooled as it is."""
    model = CLIPTextModel(encoder.config)
    known = {name: value for name, value in encoder.state_dict().items() if "text_projection" not in name}
    model.load_state_dict(
        {name: known[match] for name in model.state_dict() for match in known if match.endswith(name)}
    )
    return model


def t5(vocabulary: int) -> T5EncoderModel:
    """Flux's second text encoder: 2 layers of 128."""
    return T5EncoderModel(
        T5Config(
            vocab_size=vocabulary,
            d_model=LARGE_TEXT,
            d_kv=32,
            d_ff=256,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
        )
    )


def unet() -> UNet2DConditionModel:
    """SDXL's UNet, 14 million parameters; it looks at the text at 4 x 4 and in the middle: words are few."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 128, 192, 192),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=SMALL_TEXT + LARGE_TEXT,
        attention_head_dim=(1, 2, 3, 3),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=LARGE_TEXT + 6 * 8,
        norm_num_groups=16,
        resnet_time_scale_shift="scale_shift",
    )


def flux() -> FluxTransformer2DModel:
    """Flux's transformer, 5.7 million parameters; what modulates and what comes out starts at zero."""
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=2,
        num_single_layers=5,
        attention_head_dim=48,
        num_attention_heads=4,
        joint_attention_dim=LARGE_TEXT,
        pooled_projection_dim=LARGE_TEXT,
        guidance_embeds=False,
        axes_dims_rope=(8, 20, 20),
    )
    for name, module in transformer.named_modules():
        if isinstance(module, nn.Linear) and ("norm" in name or name == "proj_out"):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return transformer


def _clip_config(vocabulary: int, width: int, layers: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        projection_dim=width,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
