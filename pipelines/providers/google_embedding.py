"""Embeddings by the Gemini API (https://ai.google.dev/api/embeddings#method:-models.batchembedcontents)."""

import json
import math
from collections.abc import Sequence
from typing import Any

from pipelines.errors import BeyondModel
from pipelines.providers.base import without_none
from pipelines.tasks.embedding import EmbeddingRequest

MAX_BATCH = 100
"""How many texts one request may have."""


def batches(request: EmbeddingRequest, model: str) -> list[dict[str, Any]]:
    """Write the bodies of the requests that do it together.

    Args:
        request: texts; tokens are another model's.
        model: with its folder: ``models/gemini-embedding-001``.
    """
    texts = [text for text in request.inputs if isinstance(text, str)]
    if len(texts) != len(request.inputs):
        raise BeyondModel("Google takes texts, no tokens.", "input")
    asked = [
        without_none(
            model=model, content={"parts": [{"text": text}]}, outputDimensionality=request.dimensions
        )
        for text in texts
    ]
    return [{"requests": asked[first : first + MAX_BATCH]} for first in range(0, len(asked), MAX_BATCH)]


def vectors(answer: bytes, count: int, *, is_shortened: bool) -> tuple[list[tuple[float, ...]], int]:
    """Read an answer.

    Returns:
        The vectors, and how many tokens the texts have, where it says so.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is of another shape, or not for `count` texts.
    """
    body = json.loads(answer)
    found = [tuple(map(float, embedding["values"])) for embedding in body["embeddings"]]
    if len(found) != count:
        raise ValueError("not a vector for each text")
    if is_shortened:
        # Google shortens by cutting off; OpenAI's vectors have length 1, and clients rely on it.
        found = [_unit(vector) for vector in found]
    return found, (body.get("usageMetadata") or {}).get("promptTokenCount") or 0


def _unit(vector: Sequence[float]) -> tuple[float, ...]:
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return tuple(value / length for value in vector)
