"""From an entry with ``engine: vllm`` to a deployment of Ray Serve LLM.

Never run on a GPU: no machine of ours has one. Written against ``core/server/builder.py`` and
``engines/vllm/vllm_models.py`` in ``ray/llm/_internal/serve`` of Ray 2.60.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from ray.serve import Application

from configs.load import ConfigError
from configs.schema import ModelConfig, ServerConfig
from configs.vllm import VllmOptions

TASKS = ("chat", "embedding")
"""What `VllmServer` does."""


def bind_vllm(model: ModelConfig, config: ServerConfig, serve_options: Mapping[str, Any]) -> Application:
    """Bind a model to its own deployment; here vLLM is only asked what its workers reserve.

    Args:
        model: the entry.
        config: the whole application's.
        serve_options: of the deployment, its name among them, without what it reserves.

    Raises:
        ConfigError: names the model and the fix.
    """
    options = _checked(model)
    try:
        # Imported here, because both need packages that only the extra installs.
        from ray.serve.llm import LLMConfig, build_llm_deployment

        from deployments.vllm_server import VllmServer
    except ImportError as error:
        raise _not_installed(model, error) from error
    try:
        llm_config = LLMConfig(**_llm_config(model, options, config.allow_downloads))
        return build_llm_deployment(
            llm_config,
            override_serve_options=dict(serve_options),
            deployment_cls=VllmServer,
            bind_kwargs={"model": model, "config": config},
        )
    except ImportError as error:  # Ray asks for vLLM itself when it plans what the workers reserve
        raise _not_installed(model, error) from error
    except ValueError as error:
        raise ConfigError(f"models: {model.id}: options: {error}") from error


def _not_installed(model: ModelConfig, error: ImportError) -> ConfigError:
    return ConfigError(
        f"models: {model.id}: engine: vllm needs what is not installed ({error}). "
        "Run `.venv/bin/pip install -e '.[vllm]'` in the server's folder on every node, or remove the entry."
    )


def _checked(model: ModelConfig) -> VllmOptions:
    if unknown := sorted(set(model.tasks) - set(TASKS)):
        raise ConfigError(
            f"models: {model.id}: tasks: vLLM does no {', '.join(unknown)} here, only {' and '.join(TASKS)}"
        )
    try:
        options = VllmOptions.model_validate(model.options)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise ConfigError(f"models: {model.id}: options.{where}: {fault['msg']}") from error
    gpus = model.resources.num_gpus
    if options.placement_group_config is None and not 0 < gpus <= 1:
        raise ConfigError(
            f"models: {model.id}: resources.num_gpus: {gpus:g} cannot be what each worker of vLLM has: "
            "1 or a part of one. More workers: options.engine_kwargs.tensor_parallel_size; anything else: "
            "options.placement_group_config."
        )
    if options.placement_group_config is not None and gpus:
        raise ConfigError(
            f"models: {model.id}: options.placement_group_config says what is reserved; "
            "leave resources.num_gpus out"
        )
    return options


def _llm_config(model: ModelConfig, options: VllmOptions, allow_downloads: bool) -> dict[str, Any]:
    """Write the entry as ``LLMConfig`` spells it.

    Ray Serve LLM puts the replica into the first bundle of a placement group, beside vLLM's first worker:
    its CPUs come on top of that bundle; the GPUs belong to the workers alone.
    """
    gpus = model.resources.num_gpus
    engine_kwargs = dict(options.engine_kwargs)
    if 0 < gpus < 1:
        # A part of the card is a part of its memory, which vLLM otherwise takes nearly whole.
        engine_kwargs.setdefault("gpu_memory_utilization", gpus)
    offline = {} if allow_downloads else {"HF_HUB_OFFLINE": "1"}
    written = options.model_dump(include={"accelerator_type", "experimental_configs"})
    return written | {
        "model_loading_config": {
            "model_id": model.id,
            "model_source": options.model_source,
            "tokenizer_source": options.tokenizer_source,
        },
        "engine_kwargs": engine_kwargs,
        "placement_group_config": options.placement_group_config or {"bundle_per_worker": {"GPU": gpus}},
        "runtime_env": {"env_vars": {**offline, **options.env_vars}},
        "deployment_config": {"ray_actor_options": {"num_cpus": model.resources.num_cpus, "num_gpus": 0}},
    }
