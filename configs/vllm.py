"""The ``options`` of a model with ``engine: vllm``."""

from typing import Any

from pydantic import Field

from configs.base import Config


class VllmOptions(Config):
    """What vLLM loads, and on what; named as in ``ray.serve.llm.LLMConfig``, which checks them."""

    model_source: str = Field(min_length=1)
    """A repository of the hub, a folder that every node sees, or an ``s3://`` or ``gs://`` address."""
    tokenizer_source: str | None = None
    """A repository of the hub; None: the model's own."""
    engine_kwargs: dict[str, Any] = Field(default_factory=dict)
    """vLLM's own: ``max_model_len``, ``tensor_parallel_size``, ``revision``, ``tool_call_parser`` …"""
    accelerator_type: str | None = None
    """The kind of card, as Ray calls it (``A10G``); None: any."""
    placement_group_config: dict[str, Any] | None = None
    """What its workers reserve, where one GPU, or a part of it, for each of them does not describe it."""
    experimental_configs: dict[str, Any] = Field(default_factory=dict)
    """E.g. ``stream_batching_interval_ms``: for so long Ray Serve LLM gathers what a stream says (50)."""
    env_vars: dict[str, str] = Field(default_factory=dict)
    """The environment of its processes."""
