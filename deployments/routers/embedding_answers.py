"""Vectors as OpenAI writes them."""

import base64
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from pipelines.tasks.embedding import EmbeddingResult


def embedding_list(result: EmbeddingResult, encoding: Literal["float", "base64"] = "float") -> dict[str, Any]:
    """Write the list of vectors."""
    tokens = result.tokens.prompt_tokens
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _base64(vector) if encoding == "base64" else list(vector),
            }
            for index, vector in enumerate(result.vectors)
        ],
        "model": result.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
