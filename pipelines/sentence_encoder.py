"""Embedding with sentence encoders: BERT and its like, as sentence-transformers stores them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from tokenizers import Tokenizer
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel
from transformers.utils import logging

from pipelines.errors import BeyondModel, InvalidInput, ModelLoadError
from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.tasks.base import Usage, Workspace
from pipelines.tasks.embedding import EmbeddingRequest, EmbeddingResult
from pipelines.torch_engine import inference, torch_device

_FILES = ("config.json", "tokenizer.json", "model.safetensors")
_LETTERS_PER_TOKEN = 32
"""More than any text has: longer ones are refused unread, which would take seconds."""


class SentenceEncoderOptions(PipelineOptions):
    """How a sentence encoder reads."""

    max_tokens: int = Field(default=256, ge=8)
    """Of one text, with the two that stand around it; sentence-transformers has this limit for MiniLM."""
    truncate: bool = False
    """Whether only the beginning of a longer text is read. Without it such texts are refused, as OpenAI does:
    that half of a text cannot be found is a surprise."""
    pooling: Literal["mean", "first"] = "mean"
    """Which of the tokens' vectors are the text's: the mean of all, or the first."""
    batch: int = Field(default=32, ge=1)
    """Texts that are read at once."""


class SentenceEncoderPipeline:
    """A sentence encoder; threads may share it.

    The weights are a folder with ``config.json``, ``tokenizer.json`` and ``model.safetensors``. The vectors
    have length 1, so that their dot product is their likeness.
    """

    Options = SentenceEncoderOptions

    def __init__(self, weights: Path | None, options: SentenceEncoderOptions, engine: EngineSettings) -> None:
        folder = _complete(weights)
        self._options = options
        self._threads = engine.threads
        self._device = torch_device(engine.device)
        # Not transformers' tokenizers, which change a setting in every call: threads cannot share them.
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        logging.disable_progress_bar()
        self._model = AutoModel.from_pretrained(folder, local_files_only=True).to(self._device).eval()
        self._max_tokens = min(options.max_tokens, self._model.config.max_position_embeddings)
        self._read([self._tokenizer.encode("Hello.").ids])

    def embedding(self, request: EmbeddingRequest, workspace: Workspace) -> EmbeddingResult:
        """Give a vector for each text."""
        self._check_dimensions(request.dimensions)
        inputs: Sequence[str | tuple[int, ...]] = request.inputs
        texts = [self._tokens(number, text) for number, text in enumerate(inputs)]
        vectors: dict[int, tuple[float, ...]] = {}
        for places in _batches(texts, self._options.batch):
            workspace.check_cancelled()
            read = self._read([texts[place] for place in places])
            vectors.update(zip(places, map(tuple, read), strict=True))
            workspace.report(len(vectors) / len(texts))
        return EmbeddingResult(
            vectors=tuple(vectors[place] for place in range(len(texts))),
            model=request.model or "",
            tokens=Usage(prompt_tokens=sum(map(len, texts))),
        )

    def _read(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        with inference(self._threads):
            lengths = torch.tensor([len(text) for text in texts])
            tokens = pad_sequence([torch.tensor(text) for text in texts], batch_first=True)
            mask = (torch.arange(tokens.shape[1]) < lengths[:, None]).long().to(self._device)
            states = self._model(input_ids=tokens.to(self._device), attention_mask=mask).last_hidden_state
            pooled = states[:, 0] if self._options.pooling == "first" else _mean(states, mask)
            vectors: list[list[float]] = normalize(pooled.float()).tolist()
            return vectors

    def _tokens(self, number: int, text: str | tuple[int, ...]) -> list[int]:
        if not isinstance(text, str):
            # They would be OpenAI's, as LangChain sends them: every number means another word here.
            raise BeyondModel(
                "Send texts: this model has tokens of its own. (LangChain: check_embedding_ctx_length=False)",
                "inputs",
            )
        longest = self._max_tokens * _LETTERS_PER_TOKEN
        if self._options.truncate:
            text = text[:longest]
        if len(text) > longest:
            raise self._too_long(number, f"{len(text)} characters")
        tokens: list[int] = self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids
        if len(tokens) <= self._max_tokens:
            return tokens
        if self._options.truncate:
            return [*tokens[: self._max_tokens - 1], tokens[-1]]
        raise self._too_long(number, f"{len(tokens)} tokens")

    def _too_long(self, number: int, found: str) -> InvalidInput:
        return BeyondModel(
            f"Text {number} has {found}; this model reads {self._max_tokens} tokens. Split the text.",
            "inputs",
        )

    def _check_dimensions(self, wanted: int | None) -> None:
        size = self._model.config.hidden_size
        if wanted not in {None, size}:
            raise BeyondModel(f"This model's vectors have {size} dimensions; leave it out.", "dimensions")


def _batches(texts: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Yield the places of texts that are about equally long: padding is computed too."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    weights = mask[:, :, None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def _complete(weights: Path | None) -> Path:
    missing = [name for name in _FILES if weights is None or not (weights / name).is_file()]
    if weights is None or missing:
        raise ModelLoadError(
            f"{weights or 'no source'}: a sentence encoder is a folder; missing: {', '.join(missing)}. "
            "Check 'source'."
        )
    return weights
