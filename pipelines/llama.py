"""Chat with language models in GGUF format, by llama.cpp."""

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from cyllama.llama.llama_cpp import (
    LlamaModel,
    LlamaModelParams,
    LlamaSampler,
    disable_logging,
    llama_supports_gpu_offload,
)
from pydantic import Field

from pipelines.chat_messages import read_messages
from pipelines.chat_template import ChatTemplate
from pipelines.errors import BeyondModel, InvalidInput, ModelLoadError
from pipelines.llama_grammar import Grammars
from pipelines.llama_sampling import Sampling, read_sampling, sampler_chain
from pipelines.llama_slot import Slot
from pipelines.llama_text import Shown, ShownText, log_probabilities, logprob_entry
from pipelines.llama_vocabulary import Vocabulary
from pipelines.loading import EngineSettings, PipelineOptions
from pipelines.tasks.base import Usage, Workspace
from pipelines.tasks.chat import ChatRequest
from pipelines.tasks.chat_shapes import ChatDelta

_ALL_LAYERS = 999
_WAIT_S = 0.5
_LETTERS_PER_TOKEN = 16
"""More than any prompt has: longer ones are refused unread, as a word without end takes minutes."""


class LlamaOptions(PipelineOptions):
    """How a model in GGUF format runs and answers."""

    file: str | None = None
    """Which file of the source's folder; needed where it has several."""
    context: int = Field(default=8_192, ge=128)
    """Tokens of a conversation, prompt and answer: memory for each concurrent run. At most what the model was
    trained for."""
    system: str = "You are a helpful assistant."
    """The system message of requests without one; empty for none."""
    temperature: float = Field(default=0.7, ge=0.0, le=2.0)
    """Of requests without one; 0 always takes the likeliest token."""
    top_p: float = Field(default=0.95, ge=0.0, le=1.0)


class _Model(LlamaModel):  # type: ignore[misc]
    """cyllama 0.2.18 looks here for the number of logits, where its own class has nothing."""

    @property
    def n_vocab(self) -> int:
        """Count the tokens of the vocabulary."""
        return int(self.get_vocab().n_vocab)


class LlamaPipeline:
    """Any model that llama.cpp runs; as many threads may run it at once as ``concurrency`` says.

    The file carries its chat template. The weights are shared; each run has a context of its own.
    """

    Options = LlamaOptions

    def __init__(self, weights: Path | None, options: LlamaOptions, engine: EngineSettings) -> None:
        self._options = options
        disable_logging()
        file = _file(weights, options.file)
        self._model = _load(file, engine)
        self._vocab = self._model.get_vocab()
        self._vocabulary = Vocabulary(self._vocab)
        self._grammars = Grammars(file)
        self._template = _template(self._model, self._vocabulary)
        self._context = min(options.context, self._model.n_ctx_train)
        self._free = [self._slot(engine) for _ in range(engine.concurrency)]
        self._permits = threading.Semaphore(engine.concurrency)
        self._lock = threading.Lock()
        self._warm_up()

    def chat(self, request: ChatRequest, workspace: Workspace) -> Iterator[ChatDelta | Usage]:
        """Yield what is said piece by piece, one choice after the other, and the usage at the very end."""
        _check(request.body)
        options, num_said = self._options, 0
        prompt = self._prompt(request.body)
        grammar = self._grammars.read(request.body.get("response_format"))
        sampling = read_sampling(
            request.body, options.temperature, options.top_p, self._vocabulary.size, grammar
        )
        with self._reserved(prompt, workspace) as slot:
            for choice in range(sampling.choices):
                num_said += yield from self._say(slot, prompt, sampling, choice, workspace)
        yield Usage(prompt_tokens=len(prompt), completion_tokens=num_said)

    def _say(
        self, slot: Slot, prompt: Sequence[int], sampling: Sampling, choice: int, workspace: Workspace
    ) -> Generator[ChatDelta, None, int]:
        """Yield one choice; return how many tokens it took."""
        sampler = sampler_chain(self._vocab, sampling, self._context, choice)
        slot.read(prompt, workspace)
        yield ChatDelta({"role": "assistant", "content": ""}, choice)
        text, token, num_said, reason = ShownText(sampling.stops), prompt[-1], 0, "length"
        room = self._context - len(prompt)
        while num_said < min(sampling.max_tokens or room, room):
            workspace.check_cancelled()
            slot.step(token)
            token = sampler.sample(slot.context, -1)
            if self._vocabulary.is_end(token):
                reason = "stop"
                break
            num_said += 1
            yield from _delta(text.add(*self._told(slot, token, sampling)), choice)
            if text.is_stopped:
                yield ChatDelta({}, choice, "stop")
                return num_said
        yield from _delta(text.end(), choice)
        yield ChatDelta({}, choice, reason)
        return num_said

    def _told(self, slot: Slot, token: int, sampling: Sampling) -> tuple[bytes, dict[str, Any] | None]:
        """Give what a token says and, where that is wanted, how likely it and others were."""
        said = self._vocabulary.bytes_of(token)
        if sampling.top_logprobs is None:
            return said, None
        values = log_probabilities(slot.context.get_logits())
        likeliest = np.argsort(-values)[: sampling.top_logprobs].tolist()
        others = [
            logprob_entry(self._vocabulary.bytes_of(other), float(values[other])) for other in likeliest
        ]
        return said, logprob_entry(said, float(values[token])) | {"top_logprobs": others}

    def _prompt(self, body: Mapping[str, Any]) -> list[int]:
        messages = read_messages(body, self._options.system)
        num_letters = sum(len(message["content"]) for message in messages)
        if num_letters > self._context * _LETTERS_PER_TOKEN:
            raise self._too_long(f"far more ({num_letters} characters)")
        harmless = [
            message | {"content": self._vocabulary.harmless(message["content"])} for message in messages
        ]
        prompt = self._vocabulary.tokens(self._template.render(harmless))
        if len(prompt) >= self._context:
            raise self._too_long(f"{len(prompt)} tokens")
        return prompt

    def _too_long(self, found: str) -> InvalidInput:
        return BeyondModel(
            f"This model's context is {self._context} tokens, of which an answer needs one at least; "
            f"the messages are {found}. Shorten them.",
            "messages",
        )

    @contextmanager
    def _reserved(self, prompt: Sequence[int], workspace: Workspace) -> Iterator[Slot]:
        """Give the free slot that remembers most of a prompt, for the time of the block."""
        # A run that was given up may hold its slot until Python has cleared it away.
        while not self._permits.acquire(timeout=_WAIT_S):
            workspace.check_cancelled()
        with self._lock:
            slot = max(self._free, key=lambda free: free.num_kept(prompt))
            self._free.remove(slot)
        try:
            yield slot
        finally:
            with self._lock:
                self._free.append(slot)
            self._permits.release()

    def _slot(self, engine: EngineSettings) -> Slot:
        try:
            return Slot(self._model, self._context, engine.threads)
        except (ValueError, RuntimeError, MemoryError) as error:
            raise ModelLoadError(
                f"llama.cpp has no memory for {engine.concurrency} x {self._context} tokens ({error}). "
                "Lower options.context or resources.concurrency."
            ) from error

    def _warm_up(self) -> None:
        try:
            prompt = self._prompt({"messages": [{"role": "user", "content": "Hello."}]})
        except InvalidInput as error:
            raise ModelLoadError(f"{error} Set options.system to '', or a larger options.context.") from error
        sampler: LlamaSampler = sampler_chain(self._vocab, Sampling(0.0, 1.0, 0), self._context, 0)
        for slot in self._free:
            slot.step(prompt[-1])
            sampler.sample(slot.context, -1)


def _delta(shown: Shown, choice: int) -> Iterator[ChatDelta]:
    if shown.text or shown.logprobs:
        logprobs = {"content": shown.logprobs} if shown.logprobs else None
        yield ChatDelta({"content": shown.text}, choice, logprobs=logprobs)


def _check(body: Mapping[str, Any]) -> None:
    """Refuse what a model of this kind does not do.

    Raises:
        InvalidInput: names the field.
    """
    for field, choice in (("tools", "tool_choice"), ("functions", "function_call")):
        if body.get(field) and body.get(choice) != "none":
            raise BeyondModel(f"This model does not call tools. Leave {field} out.", field)
    modalities = body.get("modalities") or ["text"]
    if body.get("audio") or modalities != ["text"]:
        raise BeyondModel("This model answers in text only. Leave modalities and audio out.", "modalities")


def _file(weights: Path | None, name: str | None) -> Path:
    if weights is not None and weights.is_file():
        return weights
    found = sorted(weights.glob(name or "*.gguf")) if weights else []
    if len(found) != 1:
        raise ModelLoadError(
            f"{weights or 'no source'}: a model is one .gguf file; found: "
            f"{', '.join(file.name for file in found) or 'none'}. Check 'source', or name it in options.file."
        )
    return found[0]


def _load(file: Path, engine: EngineSettings) -> LlamaModel:
    if engine.device == "cuda" and not llama_supports_gpu_offload():
        raise ModelLoadError(
            "a GPU is configured, but this cyllama was built without one. "
            "Install cyllama-cuda12, or set num_gpus: 0."
        )
    params = LlamaModelParams()
    params.n_gpu_layers = _ALL_LAYERS if engine.device == "cuda" else 0
    try:
        return _Model(path_model=str(file), params=params, verbose=False)
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        raise ModelLoadError(
            f"llama.cpp cannot load {file} ({error}). Fetch it anew, or take a GGUF that this version knows."
        ) from error


def _template(model: LlamaModel, vocabulary: Vocabulary) -> ChatTemplate:
    source = model.get_default_chat_template()
    if not source:
        raise ModelLoadError("the file has no chat template. Take the GGUF of an instruct or chat model.")
    return ChatTemplate(source, vocabulary.begin, vocabulary.end)
