"""Loading a checkpoint in diffusers' format: a folder with model_index.json and a folder for each part."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from pipelines.diffusion.options import DiffusionOptions
from pipelines.errors import ModelLoadError

_WITHOUT_WEIGHTS = ("scheduler", "tokenizer", "feature_extractor", "image_processor")
_VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model")
"""Without one of them transformers makes a tokenizer that knows no word."""


def load(kind: type[Any], folder: Path | None, options: DiffusionOptions, dtype: torch.dtype) -> Any:
    """Load all parts of a checkpoint, without ever holding the weights twice.

    Args:
        kind: the diffusers pipeline of text to image.
        folder: where the checkpoint lies.
        options: its variant.
        dtype: of the weights in memory.

    Raises:
        ModelLoadError: a part is missing, damaged or of another format; the message names it.
    """
    if folder is None:
        raise ModelLoadError("a picture model needs a 'source' that leads to a folder in diffusers' format")
    check(folder)
    _quieten()
    try:
        pipe = kind.from_pretrained(
            folder,
            dtype=dtype,
            variant=options.variant,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelLoadError(f"{folder} cannot be loaded as a {kind.__name__}: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _quieten() -> None:
    """Keep progress bars out of the log, and a warning that would come with every request.

    It says of a scheduler that it ignores settings of another kind of scheduler; we tell it to.
    """
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def check(folder: Path) -> None:
    """See that every part is there; diffusers' own errors do not say which is not, or ask the hub for it.

    Raises:
        ModelLoadError: something is missing.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        raise ModelLoadError(f"{index} is missing; 'source' must lead to a folder in diffusers' format.")
    try:
        parts = json.loads(index.read_text(encoding="utf-8")).items()
    except (ValueError, AttributeError) as error:
        raise ModelLoadError(f"{index} is damaged: {error}. Fetch the checkpoint anew.") from error
    for name, made_by in parts:
        if isinstance(made_by, list) and made_by[0] is not None:
            _check_part(folder / name)


def _check_part(part: Path) -> None:
    if not part.is_dir() or not any(part.iterdir()):
        raise ModelLoadError(f"{part} is missing; the checkpoint is incomplete. Fetch it anew.")
    if part.name.startswith("tokenizer") and not any((part / name).is_file() for name in _VOCABULARIES):
        raise ModelLoadError(f"{part} has none of {', '.join(_VOCABULARIES)}. Fetch the checkpoint anew.")
    if part.name.startswith(_WITHOUT_WEIGHTS):
        return
    if not (part / "config.json").is_file():
        raise ModelLoadError(
            f"{part / 'config.json'} is missing; the checkpoint is incomplete. Fetch it anew."
        )
    files = list(part.glob("*.safetensors"))
    if not files:
        pickles = any(part.glob("*.bin"))
        remedy = "Convert it: only safetensors are read" if pickles else "Fetch the checkpoint anew"
        raise ModelLoadError(f"{part} has no .safetensors file. {remedy}.")
    for file in files:
        _check_weights(file)


def _check_weights(file: Path) -> None:
    try:
        with safe_open(file, "pt"):
            pass
    except (OSError, SafetensorError) as error:
        raise ModelLoadError(f"{file} is damaged: {error}. Fetch the checkpoint anew.") from error
