"""Makes checkpoints of Florence-2 that are tiny: the real classes, with weights that nobody trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AddedToken,
    BartTokenizer,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

SIDE = 64
"""Pixels that the model looks at."""
_WIDTH = 64
_MAX_TOKENS = 128
_TASKS = ("ocr", "phrase_grounding", "pure_text", "description_with_bboxes", "description_with_polygons",
          "polygons", "bboxes", "description_with_bboxes_or_polygons")  # fmt: skip


def make_florence(folder: Path, says: Sequence[str] = ()) -> Path:
    """Save a checkpoint as the hub has them.

    Args:
        folder: where.
        says: the tokens of its answer to everything; without them it babbles letters, depending on the
            picture and the question.
    """
    tokenizer = _tokenizer()
    size = {"height": SIDE, "width": SIDE}
    looks = CLIPImageProcessorPil(size=size, crop_size=size, do_center_crop=False)
    looks.image_seq_length = (SIDE // 32) ** 2 + 1
    config: dict[str, Any] = {task: {} for task in _TASKS}
    Florence2Processor(looks, tokenizer, post_processor_config=config).save_pretrained(folder)
    torch.manual_seed(0)
    model = Florence2ForConditionalGeneration(_config(tokenizer)).eval()
    if says:
        _teach(model, [*tokenizer.convert_tokens_to_ids(list(says)), tokenizer.eos_token_id])
    else:
        with torch.no_grad():
            model.model.language_model.shared.weight[tokenizer.convert_tokens_to_ids("<mask>") :] = 0
    model.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    letters = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "<mask>"]
    vocabulary = {token: number for number, token in enumerate(letters)}
    tokenizer = BartTokenizer(vocab=vocabulary, merges=[], extra_special_tokens={"image_token": "<image>"})
    places = [AddedToken(f"<loc_{number}>", special=True, normalized=False) for number in range(1000)]
    tokenizer.add_tokens(
        [*places, AddedToken("<image>", special=True, normalized=False)], special_tokens=True
    )
    return tokenizer


def _config(tokenizer: Any) -> Any:
    text = {
        "model_type": "bart",
        "vocab_size": len(tokenizer),
        "d_model": _WIDTH,
        **{f"{half}_layers": 1 for half in ("encoder", "decoder")},
        **{f"{half}_attention_heads": 1 for half in ("encoder", "decoder")},
        **{f"{half}_ffn_dim": 16 for half in ("encoder", "decoder")},
        "max_position_embeddings": _MAX_TOKENS,
        "decoder_start_token_id": tokenizer.eos_token_id,
        "init_std": 1.0,
    }
    vision = {
        "depths": [1, 1, 1, 1],
        "embed_dim": [8, 8, 16, 16],
        "num_heads": [1, 1, 1, 1],
        "num_groups": [1, 1, 1, 1],
        "window_size": 4,
        "projection_dim": _WIDTH,
        "initializer_range": 0.5,
    }
    return Florence2Config(text_config=text, vision_config=vision, image_token_id=tokenizer.image_token_id)


@torch.no_grad()
def _teach(model: Any, tokens: Sequence[int]) -> None:
    """Make the decoder say these tokens, whatever it is asked: its n-th place only knows the n-th token."""
    language = model.model.language_model
    decoder = language.decoder
    for layer in decoder.layers:
        for last in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
            last.weight.zero_()
            last.bias.zero_()
    language.shared.weight.zero_()
    decoder.embed_positions.weight.zero_()
    first = decoder.embed_positions.offset
    for number, token in enumerate(tokens):
        language.shared.weight[token, number] += 10.0
        decoder.embed_positions.weight[first + number, number] = 1_000.0
