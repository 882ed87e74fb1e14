"""Embedding by a server that speaks OpenAI's wire format."""

from typing import Any

from pipelines.providers.base import without_none
from pipelines.providers.openai_wire import OpenAiApi
from pipelines.tasks.base import Workspace
from pipelines.tasks.chat_shapes import usage_of
from pipelines.tasks.embedding import EmbeddingRequest, EmbeddingResult


async def run(api: OpenAiApi, request: EmbeddingRequest, workspace: Workspace) -> EmbeddingResult:
    """Have the texts read."""
    body = without_none(
        model=request.model, input=request.inputs, dimensions=request.dimensions, encoding_format="float"
    )
    answer = await api.http.post("/embeddings", body)
    result = await api.read(answer, "vectors", result_of)
    if len(result.vectors) != len(request.inputs):
        raise api.http.failed(f"answers {len(request.inputs)} texts with {len(result.vectors)} vectors")
    return result


def result_of(body: Any) -> EmbeddingResult:
    """Read an answer's vectors, in the order of the texts."""
    data = sorted(body["data"], key=lambda item: int(item["index"]))
    vectors = tuple(tuple(item["embedding"]) for item in data)
    return EmbeddingResult(vectors=vectors, model=body.get("model") or "", tokens=usage_of(body.get("usage")))
