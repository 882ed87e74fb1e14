"""What vLLM says, read as this server's records. Knows its shapes, and imports nothing of it.

They are those of ``vllm/entrypoints/openai/chat_completion/{protocol,serving}.py``, as
``ray/llm/_internal/serve/engines/vllm/vllm_engine.py`` of Ray 2.60 passes them on.
"""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pipelines.errors import EngineError, InvalidInput, PipelineError
from pipelines.tasks.chat import ChatEvent, ChatRequest, UsageChunk
from pipelines.tasks.chat_shapes import usage_of
from pipelines.tasks.embedding import EmbeddingRequest

T = TypeVar("T")

_PREFIX = "data: "
_DONE = "[DONE]"
_NOT_THE_CALLERS = ("request_id", "priority")
"""Fields beyond OpenAI's with which one caller could reach another's run, or pass the gate's order."""


def chat_body(request: ChatRequest, model: str, *, is_stream: bool) -> dict[str, Any]:
    """Write the body of a chat; a stream always tells its usage at the end."""
    body = {name: value for name, value in request.body.items() if name not in _NOT_THE_CALLERS}
    body |= {"model": model, "stream": is_stream}
    if is_stream:
        return body | {"stream_options": {**(body.get("stream_options") or {}), "include_usage": True}}
    body.pop("stream_options", None)  # refused where nothing is streamed
    return body


def embedding_body(request: EmbeddingRequest, model: str) -> dict[str, Any]:
    """Write the body of a request for vectors."""
    shortened = {} if request.dimensions is None else {"dimensions": request.dimensions}
    return {"model": model, "input": list(request.inputs), "encoding_format": "float", **shortened}


def validated(kind: Any, body: Mapping[str, Any]) -> Any:
    """Make vLLM's own record of a body.

    Args:
        kind: a class of pydantic's, or a union of such.
        body: of the request.

    Raises:
        InvalidInput: it is none; names the field.
    """
    try:
        return TypeAdapter(kind).validate_python(body)
    except ValidationError as error:
        fault = error.errors()[0]
        # Beside the field's name stand indexes, and names of classes.
        field = next((str(part) for part in fault["loc"] if part in body), None)
        where = ".".join(str(part) for part in fault["loc"])
        raise InvalidInput(f"{where}: {fault['msg']}" if where else fault["msg"], field) from error
    except Exception as error:  # vLLM's own, since 0.27 no ValueError, which pydantic therefore lets through
        raise InvalidInput(str(error), getattr(error, "parameter", None)) from error


def chat_event(frame: str) -> ChatEvent | None:
    """Read one frame of a stream; None is its end.

    Raises:
        PipelineError: the frame tells of a fault.
    """
    data = frame.strip().removeprefix(_PREFIX)
    if data == _DONE:
        return None
    # Looking for words is a hundred times cheaper than reading the JSON of every chunk.
    if '"usage":{' in data or '"error"' in data:
        return _special_event(data)
    return data.encode()


def _special_event(data: str) -> ChatEvent:
    chunk = json.loads(data)
    if (error := chunk.get("error")) and not chunk.get("choices"):
        raise _error_of(error)
    usage = chunk.get("usage")
    if usage and not chunk.get("choices"):
        return UsageChunk(data.encode(), usage_of(usage))
    return data.encode()  # words that the model said, or a usage on the way, for which the client asked


def without_error(answer: T) -> T:
    """Give an answer back, unless it is an error: told by its field, because Ray has several classes of it.

    Raises:
        PipelineError: it is one.
    """
    if (error := getattr(answer, "error", None)) is not None:
        raise _error_of(error.model_dump())
    return answer


def _error_of(error: Mapping[str, Any]) -> PipelineError:
    """Read vLLM's ``ErrorInfo``: what has a code of 4xx is the request's own fault."""
    message, code = str(error.get("message") or "vLLM gave no reason."), error.get("code")
    if isinstance(code, int) and 400 <= code < 500:
        return InvalidInput(message, error.get("param"))
    return EngineError(message)
