"""How the next token is chosen: OpenAI's parameters as a chain of llama.cpp's samplers."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cyllama.llama.llama_cpp import LlamaSampler, LlamaSamplerChainParams, LlamaVocab

from pipelines.errors import InvalidInput

MAX_CHOICES = 128
MAX_STOPS = 4
MAX_TOP_LOGPROBS = 20
"""These three as OpenAI has them."""
_COLDEST = 1e-4
"""Below it the likeliest token is as good as certain, and soon the logits overflow."""
_SEEDS = 0xFFFF_FFFF
"""llama.cpp knows so many; the one after them means chance."""


@dataclass(frozen=True)
class Sampling:
    """What one request wants of its choices."""

    temperature: float
    top_p: float
    seed: int
    choices: int = 1
    max_tokens: int | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    stops: tuple[str, ...] = ()
    grammar: str | None = None
    """In GBNF; None for free text."""
    top_logprobs: int | None = None
    """How many alternatives of each token are told; None tells no probabilities at all."""


def read_sampling(
    body: Mapping[str, Any], temperature: float, top_p: float, vocabulary: int, grammar: str | None
) -> Sampling:
    """Read the parameters; the given temperature and top_p are for requests without.

    Raises:
        InvalidInput: one is out of its range.
    """
    limit = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    seed = _whole(body, "seed", -(2**63), 2**63 - 1, None)
    return Sampling(
        temperature=_number(body, "temperature", 0, 2, temperature),
        top_p=_number(body, "top_p", 0, 1, top_p),
        seed=random.getrandbits(32) if seed is None else seed,
        choices=_whole(body, "n", 1, MAX_CHOICES, 1) or 1,
        max_tokens=_whole(body, limit, 1, 2**31, None),
        frequency_penalty=_number(body, "frequency_penalty", -2, 2, 0),
        presence_penalty=_number(body, "presence_penalty", -2, 2, 0),
        logit_bias=_logit_bias(body.get("logit_bias"), vocabulary),
        stops=_stops(body.get("stop")),
        grammar=grammar,
        top_logprobs=_top_logprobs(body),
    )


def sampler_chain(vocab: LlamaVocab, sampling: Sampling, context: int, choice: int) -> LlamaSampler:
    """Make the samplers of one choice."""
    chain = LlamaSampler(LlamaSamplerChainParams())
    if sampling.logit_bias:
        chain.add_logit_bias(vocab.n_vocab, list(sampling.logit_bias))
    if sampling.frequency_penalty or sampling.presence_penalty:
        chain.add_penalties(context, 1.0, sampling.frequency_penalty, sampling.presence_penalty)
    if sampling.grammar is not None:
        chain.add_grammar(vocab, sampling.grammar, "root")
    if sampling.temperature < _COLDEST:
        chain.add_greedy()
        return chain
    chain.add_top_p(sampling.top_p, 1)
    chain.add_temp(sampling.temperature)
    chain.add_dist((sampling.seed + choice) % _SEEDS)
    return chain


def _number(body: Mapping[str, Any], name: str, low: float, high: float, default: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidInput(f"{name} must be a number from {low:g} to {high:g}, not {value!r}.", name)
    return float(value)


def _whole(body: Mapping[str, Any], name: str, low: int, high: int, default: int | None) -> int | None:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInput(f"{name} must be a whole number from {low} to {high}, not {value!r}.", name)
    return value


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if (
        not isinstance(stops, list)
        or len(stops) > MAX_STOPS
        or not all(isinstance(one, str) for one in stops)
    ):
        raise InvalidInput(f"stop must be a text or a list of at most {MAX_STOPS} texts.", "stop")
    return tuple(stop for stop in stops if stop)


def _logit_bias(value: Any, vocabulary: int) -> tuple[tuple[int, float], ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise InvalidInput("logit_bias must be an object: token to bias.", "logit_bias")
    return tuple((_token(name, vocabulary), _bias(bias)) for name, bias in value.items())


def _token(name: str, vocabulary: int) -> int:
    if not name.isascii() or not name.isdigit() or int(name[:12]) >= vocabulary:
        raise InvalidInput(
            f"logit_bias: {name[:40]!r} is no token of this model; they are 0 to {vocabulary - 1}.",
            "logit_bias",
        )
    return int(name)


def _bias(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -100 <= value <= 100:
        raise InvalidInput(f"logit_bias: {value!r} is no number from -100 to 100.", "logit_bias")
    return float(value)


def _top_logprobs(body: Mapping[str, Any]) -> int | None:
    wanted = body.get("logprobs")
    if not isinstance(wanted, bool | None):
        raise InvalidInput("logprobs must be true or false.", "logprobs")
    count = _whole(body, "top_logprobs", 0, MAX_TOP_LOGPROBS, 0)
    if count and not wanted:
        raise InvalidInput("top_logprobs needs logprobs: true.", "top_logprobs")
    return count if wanted else None
