"""Image to text with Florence-2, by transformers' own implementation: no code comes with the weights."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor
from transformers import Florence2ForConditionalGeneration, Florence2Processor
from transformers.utils import logging

from pipelines.errors import ModelLoadError
from pipelines.images import open_image
from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.seeing.pictures import as_seen
from pipelines.seeing.wishes import Wish, wish_of
from pipelines.tasks.base import Workspace
from pipelines.tasks.image_to_text import Box, ImageToTextRequest, ImageToTextResult, Label
from pipelines.torch_engine import inference, torch_device

_MAX_SIDE = 3_072
"""Pixels; the model itself looks at 768 x 768, so that nothing is lost by scaling larger pictures down."""
_AUTO_TYPES = {"cpu": "float32", "cuda": "float16"}
_REMEDY = (
    "'source' must lead to a folder of Florence-2 in transformers' format with safetensors, "
    "such as florence-community/Florence-2-base."
)
_FILES = (
    ("config.json",),
    ("*.safetensors",),
    ("processor_config.json", "preprocessor_config.json"),
    ("tokenizer.json",),
    ("tokenizer_config.json",),
)
_PARSERS = ("pure_text", "ocr", "description_with_bboxes")
"""What the processor must know to take answers apart."""
_STRAY_TOKEN = re.compile(r"<?loc_\d+>|<pad>")


class FlorenceOptions(PipelineOptions):
    """How a Florence-2 model runs."""

    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    """None: float32 on a CPU, float16 on a GPU."""
    beams: int = Field(default=3, ge=1, le=10)
    max_new_tokens: int = Field(default=1_024, ge=1, le=4_096)
    """Longer answers are cut off; a page with many lines and their boxes takes a thousand."""


class FlorencePipeline:
    """Any size and fine-tune of Florence-2 in transformers' format; threads may share it."""

    Options = FlorenceOptions

    def __init__(self, weights: Path | None, options: FlorenceOptions, engine: EngineSettings) -> None:
        if weights is None:
            raise ModelLoadError(f"Florence-2 has no source; {_REMEDY}")
        self._options = options
        self._device = torch_device(engine.device)
        self._threads = engine.threads
        self._dtype = getattr(torch, options.dtype or _AUTO_TYPES[engine.device])
        logging.disable_progress_bar()
        self._processor, self._model = _load(weights, self._dtype, self._device)

    def image_to_text(self, request: ImageToTextRequest, workspace: Workspace) -> ImageToTextResult:
        """Say what the picture shows."""
        wish = wish_of(request.prompt)
        with open_image(workspace.input(request.image), "image", workspace.limits.image_pixels) as picture:
            image = as_seen(picture, _MAX_SIDE)
        workspace.check_cancelled()
        with inference(self._threads):
            inputs = self._processor(text=wish.value, images=image, return_tensors="pt")
            tokens = self._model.generate(
                **inputs.to(self._device, self._dtype),
                do_sample=False,
                num_beams=self._options.beams,
                max_new_tokens=self._options.max_new_tokens,
                stopping_criteria=[_Watch(workspace, self._options.max_new_tokens)],
            )
        raw = self._processor.batch_decode(tokens, skip_special_tokens=False)[0]
        answer = self._processor.post_process_generation(raw, task=wish.value, image_size=picture.size)
        return _result(wish, answer[wish.value])


class _Watch:
    """Looks at a run after every token: tells of it, and stops what nobody wants."""

    def __init__(self, workspace: Workspace, max_tokens: int) -> None:
        self._workspace = workspace
        self._max_tokens = max_tokens

    def __call__(self, tokens: Tensor, scores: Any, **more: Any) -> Tensor:
        self._workspace.check_cancelled()
        self._workspace.report(min(tokens.shape[1] / self._max_tokens, 1.0))
        return torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)


def _result(wish: Wish, answer: Any) -> ImageToTextResult:
    """Bring what transformers parsed into our form; its boxes are in pixels already."""
    if isinstance(answer, str):
        return ImageToTextResult(text=_cleaned(answer))
    places = answer["bboxes"] if wish is Wish.OBJECTS else answer["quad_boxes"]
    found = zip(answer["labels"], places, strict=True)
    labels = tuple(Label(text=_cleaned(text), box=_around(place)) for text, place in found if _cleaned(text))
    if wish is Wish.OBJECTS:
        return ImageToTextResult(text=", ".join(dict.fromkeys(label.text for label in labels)), labels=labels)
    return ImageToTextResult(text="\n".join(label.text for label in labels), labels=labels)


def _cleaned(text: str) -> str:
    """Take off tokens that stand where the parser does not expect them."""
    return _STRAY_TOKEN.sub("", text).strip()


def _around(corners: Sequence[int]) -> Box:
    """Give the rectangle around points x, y, x, y ..."""
    across, down = corners[0::2], corners[1::2]
    return Box(left=min(across), top=min(down), right=max(across), bottom=max(down))


def _load(folder: Path, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any]:
    """Give the processor and the model."""
    _check(folder)
    try:
        processor = Florence2Processor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model, report = Florence2ForConditionalGeneration.from_pretrained(
            folder,
            dtype=dtype,
            device_map=device,  # straight to the GPU, without a second copy in main memory
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except torch.OutOfMemoryError as error:
        raise ModelLoadError(f"{folder}: the GPU has too little free memory for this model.") from error
    except SafetensorError as error:
        names = " or ".join(file.name for file in sorted(folder.glob("*.safetensors")))
        raise ModelLoadError(f"{folder}: {names} is damaged ({error}). Fetch the checkpoint anew.") from error
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        raise ModelLoadError(f"{folder} cannot be loaded ({error}). {_REMEDY}") from error
    # With random numbers in their place transformers would go on.
    if missing := sorted(report["missing_keys"]):
        raise ModelLoadError(f"{folder} lacks {len(missing)} weights, first {missing[0]}. {_REMEDY}")
    unknown = [name for name in _PARSERS if name not in (processor.post_processor_config or {})]
    if unknown:
        raise ModelLoadError(f"{folder}: its processor cannot parse {', '.join(unknown)}. {_REMEDY}")
    return processor, model.eval()


def _check(folder: Path) -> None:
    """See that every file is there: for some of them transformers has defaults, and loads something else."""
    missing = [" or ".join(names) for names in _FILES if not any(any(folder.glob(name)) for name in names)]
    if missing:
        raise ModelLoadError(f"{folder}: missing: {', '.join(missing)}. {_REMEDY}")
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{file} cannot be read ({error}). {_REMEDY}") from error
    if config.get("model_type") != "florence2" or "auto_map" in config:
        raise ModelLoadError(f"{file} is of another model, or of one that brings its own code. {_REMEDY}")
