"""The Gemini API's answers, whole and in chunks, which have one shape, as deltas of OpenAI's shape.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.providers.faults import Fault
from pipelines.tasks.base import Usage
from pipelines.tasks.chat_shapes import ChatDelta

_FINISHES = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length"}
_FAULTS = (
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE",
)
"""Reasons to end that OpenAI has no word for: the model failed, and another may do better."""
_DENIED = {"API_KEY_INVALID": 401, "FAILED_PRECONDITION": 403}
"""Reasons and statuses that Google sends with 400, which would blame the caller: a wrong key, and an account
that is not served (https://ai.google.dev/gemini-api/docs/troubleshooting)."""


class AnswerFailed(Exception):
    """The model gave up; the text says how Google calls it."""


class CandidateReader:
    """Turns the chunks of one answer into deltas; parts that it does not know are left out."""

    def __init__(self) -> None:
        """Begin before the first chunk."""
        self._calls: dict[int, int] = {}
        """Choice -> how many calls it has so far; a choice is in here from its first chunk on."""
        self._unfinished: set[int] = set()

    @property
    def is_over(self) -> bool:
        """Whether every choice has ended. There is no other sign of an answer's end."""
        return bool(self._calls) and not self._unfinished

    def read(self, answer: Mapping[str, Any]) -> Iterator[ChatDelta]:
        """Read a chunk, or a whole answer.

        Raises:
            AnswerFailed: the model gave up.
        """
        candidates = answer.get("candidates") or []
        if not candidates and (reason := (answer.get("promptFeedback") or {}).get("blockReason")):
            # An answer rather than an error, as OpenAI's own filter does it: asking elsewhere would evade it.
            yield from self._begin(0)
            yield self._finish(0, "content_filter", {"refusal": f"Google withholds the answer: {reason}."})
        for candidate in candidates:
            yield from self._candidate(candidate)

    def _candidate(self, candidate: Mapping[str, Any]) -> Iterator[ChatDelta]:
        index = candidate.get("index") or 0
        yield from self._begin(index)
        for part in (candidate.get("content") or {}).get("parts") or ():
            if delta := self._part(index, part):
                yield ChatDelta(delta, index)
        if logprobs := candidate.get("logprobsResult"):
            yield ChatDelta({}, index, logprobs=_logprobs(logprobs))
        if reason := candidate.get("finishReason"):
            yield self._finish(index, self._finish_reason(index, reason), {})

    def _begin(self, index: int) -> Iterator[ChatDelta]:
        if index not in self._calls:
            self._calls[index] = 0
            self._unfinished.add(index)
            yield ChatDelta({"role": "assistant", "content": ""}, index)

    def _finish(self, index: int, reason: str, delta: Mapping[str, Any]) -> ChatDelta:
        self._unfinished.discard(index)
        return ChatDelta(delta, index, finish_reason=reason)

    def _finish_reason(self, index: int, reason: str) -> str:
        if reason in _FAULTS:
            raise AnswerFailed(reason)
        if reason == "STOP" and self._calls[index]:
            return "tool_calls"
        return _FINISHES.get(reason, "content_filter")  # SAFETY, RECITATION, SPII ... and whatever comes

    def _part(self, index: int, part: Mapping[str, Any]) -> dict[str, Any]:
        if call := part.get("functionCall"):
            return {"tool_calls": [self._call(index, call, part.get("thoughtSignature"))]}
        if text := part.get("text"):
            return {"reasoning_content" if part.get("thought") else "content": text}
        # The signature of a text is a hint that may be left out, unlike a call's.
        return {}

    def _call(self, index: int, call: Mapping[str, Any], signature: str | None) -> dict[str, Any]:
        place = self._calls[index]
        self._calls[index] += 1
        arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
        # As Google's own OpenAI endpoint has it: https://ai.google.dev/gemini-api/docs/thought-signatures
        extra = {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}
        return {
            "index": place,
            "id": call.get("id") or f"call_{uuid.uuid4().hex}",
            "type": "function",
            "function": {"name": call["name"], "arguments": arguments},
            **extra,
        }


def read_usage(usage: Mapping[str, Any]) -> tuple[Usage, dict[str, Any]]:
    """Read ``usageMetadata``: thoughts count as said, as they do at OpenAI.

    Returns:
        The usage, and OpenAI's details of it.
    """
    thoughts = usage.get("thoughtsTokenCount") or 0
    details = {
        "prompt_tokens_details": {"cached_tokens": usage.get("cachedContentTokenCount") or 0},
        "completion_tokens_details": {"reasoning_tokens": thoughts},
    }
    tokens = Usage(
        prompt_tokens=(usage.get("promptTokenCount") or 0) + (usage.get("toolUsePromptTokenCount") or 0),
        completion_tokens=(usage.get("candidatesTokenCount") or 0) + thoughts,
    )
    return tokens, details


def read_fault(status: int, body: Any) -> Fault:
    """Read ``{"error": {"code", "message", "status", "details"}}``, maybe with a list around it."""
    if isinstance(body, list):
        body = body[0]
    error = body["error"]
    details = [detail for detail in error.get("details") or () if isinstance(detail, dict)]
    words = [str(error.get("status")), *(str(detail.get("reason")) for detail in details)]
    return Fault(
        next((_DENIED[word] for word in words if word in _DENIED), status),
        str(error.get("message") or ""),
        str(error.get("status") or ""),
        retry_after_s=next((delay for detail in details if (delay := _delay(detail)) is not None), None),
    )


def event_fault(event: Mapping[str, Any]) -> Fault:
    """Read an error in the middle of a stream, whose status is its ``code``."""
    code = event["error"].get("code")
    return read_fault(code if isinstance(code, int) and 400 <= code < 600 else 502, event)


def _delay(detail: Mapping[str, Any]) -> float | None:
    """Read google.rpc.RetryInfo: ``"retryDelay": "34s"``."""
    try:
        return float(detail["retryDelay"].removesuffix("s"))
    except (KeyError, ValueError, AttributeError):
        return None


def _logprobs(result: Mapping[str, Any]) -> dict[str, Any]:
    chosen, tops = result.get("chosenCandidates") or [], result.get("topCandidates") or []
    content = []
    for place, token in enumerate(chosen):
        others = (tops[place].get("candidates") or []) if place < len(tops) else []
        content.append(_token(token) | {"top_logprobs": [_token(other) for other in others]})
    return {"content": content}


def _token(token: Mapping[str, Any]) -> dict[str, Any]:
    text = token.get("token") or ""
    return {
        "token": text,
        "logprob": token.get("logProbability") or 0.0,  # what is 0 is not written
        "bytes": list(text.encode()),
    }
