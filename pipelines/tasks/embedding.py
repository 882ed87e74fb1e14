"""Embedding: texts in; for each a vector, near to those of texts that mean the same."""

from typing import Literal, Protocol, runtime_checkable

from pydantic import Field

from pipelines.tasks.base import Task, TaskRequest, TaskResult, Usage, Workspace

MAX_INPUTS = 2_048
"""As OpenAI has it."""


class EmbeddingResult(TaskResult):
    """The vectors, in the order of the texts."""

    vectors: tuple[tuple[float, ...], ...]
    model: str = ""
    """As whoever served it calls it."""
    tokens: Usage = Usage()

    @property
    def usage(self) -> Usage:
        """Tell the tokens."""
        return self.tokens


class EmbeddingRequest(TaskRequest[EmbeddingResult]):
    """Texts, or the tokens of texts."""

    inputs: tuple[str, ...] | tuple[tuple[int, ...], ...] = Field(min_length=1, max_length=MAX_INPUTS)
    """None is empty; tokens are those of the model."""
    dimensions: int | None = Field(default=None, ge=1, le=65_536)
    """How many numbers a vector shall have, for models that can shorten it."""

    def estimated_usage(self, events: int) -> Usage:
        """Count a token for every four characters, or each that was given."""
        length = sum(max(1, len(each) // 4) if isinstance(each, str) else len(each) for each in self.inputs)
        return Usage(prompt_tokens=length)


@runtime_checkable
class EmbeddingPipeline(Protocol):
    """A model that reads meanings."""

    def embedding(self, request: EmbeddingRequest, workspace: Workspace) -> EmbeddingResult:
        """Give a vector for each text."""


def run(pipeline: EmbeddingPipeline, request: EmbeddingRequest, workspace: Workspace) -> EmbeddingResult:
    """Have the pipeline read the texts."""
    return pipeline.embedding(request, workspace)


NAME: Literal["embedding"] = "embedding"
EMBEDDING = Task(
    name=NAME, protocol=EmbeddingPipeline, request=EmbeddingRequest, result=EmbeddingResult, run=run
)
