"""How /docs describes the routes of chat and embeddings."""

from typing import Any

from deployments.routers.documentation import json_body, json_example

COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-5f0c",
    "object": "chat.completion",
    "created": 1795392000,
    "model": "smollm2-135m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Paris.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 31, "completion_tokens": 3, "total_tokens": 34},
}
CHAT_REQUEST: dict[str, Any] = {
    "model": "smollm2-135m",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
_CHAT_FIELDS: dict[str, Any] = {
    "model": {
        "type": "string",
        "description": "Id or alias of a model, or `provider/name`; the server's default if it is left out.",
    },
    "messages": {"type": "array", "items": {"type": "object"}},
    "stream": {"type": "boolean", "default": False},
    "max_completion_tokens": {"type": "integer", "minimum": 1},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "tools": {"type": "array", "items": {"type": "object"}},
    "response_format": {"type": "object"},
    "provider": {"type": "string", "description": "Who alone may serve the request."},
}
CHAT_BODY = json_body(_CHAT_FIELDS, CHAT_REQUEST, required=("messages",))
CHAT_ANSWERS = json_example(COMPLETION)

QUEUE_BODY = json_body(
    {"request": {"type": "object"}, "provider": {"type": "string"}, "refId": {"type": "string"},
     "replyTo": {"type": "string"}, "tag": {"type": "string"}},
    {"refId": "mine", "request": CHAT_REQUEST},
    required=("request",),
)  # fmt: skip
QUEUE_ANSWERS = json_example(
    {
        "id": 7,
        "jobId": 7,
        "refId": "mine",
        "jobState": "Queued",
        "status": "Queued",
        "statusUrl": "http://127.0.0.1:8000/api/GetOpenAiChatStatus?jobId=7",
    }
)
PROVIDER_BODY = json_body(
    {"provider": {"type": "string"}, "model": {"type": "string"}, "prompt": {"type": "string"},
     "request": {"type": "object"}},
    {"provider": "ai-server", "model": "smollm2-135m", "prompt": "What is the capital of France?"},
)  # fmt: skip
JOB_ANSWERS = json_example(
    {"result": {"id": 7, "refId": "mine", "state": "Completed", "responseBody": '{"id":"chatcmpl-5f0c",…}'}}
)

OLLAMA_BODY = json_body(
    {"model": {"type": "string"}, "prompt": {"type": "string"}, "system": {"type": "string"},
     "images": {"type": "array", "items": {"type": "string"}}, "format": {},
     "options": {"type": "object"}, "stream": {"type": "boolean", "default": False}},
    {"model": "smollm2-135m", "prompt": "What is the capital of France?"},
    required=("prompt",),
)  # fmt: skip
QUEUE_OLLAMA_BODY = json_body(
    {"request": {"type": "object"}, "refId": {"type": "string"}},
    {"request": {"model": "smollm2-135m", "prompt": "What is the capital of France?"}},
    required=("request",),
)
OLLAMA_ANSWERS = json_example(
    {"model": "smollm2-135m", "created_at": "2026-11-25T05:00:00.000Z", "response": "Paris.", "done": True,
     "done_reason": "stop", "prompt_eval_count": 31, "eval_count": 3}
)  # fmt: skip

EMBEDDING_BODY = json_body(
    {"input": {"description": "A text, a list of texts, tokens, or a list of lists of tokens."},
     "model": {"type": "string"}, "dimensions": {"type": "integer"},
     "encoding_format": {"type": "string", "enum": ["float", "base64"], "default": "float"}},
    {"model": "all-minilm-l6-v2", "input": "The food was delicious."},
    required=("input",),
)  # fmt: skip
EMBEDDING_ANSWERS = json_example(
    {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.0023, -0.0093]}],
        "model": "all-minilm-l6-v2",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
)
