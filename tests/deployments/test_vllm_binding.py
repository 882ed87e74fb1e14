"""From an entry to a deployment: planned by the real Ray Serve LLM, without a cluster or a GPU."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve import Application

from configs.load import ConfigError
from configs.schema import ServerConfig
from deployments.app import build
from tests.deployments import fake_vllm

ROOT = Path(__file__).parents[2]
ENTRY: dict[str, Any] = {
    "id": "qwen",
    "tasks": ["chat"],
    "engine": "vllm",
    "options": {"model_source": "Qwen/Qwen2.5-7B-Instruct"},
    "resources": {"num_cpus": 2, "num_gpus": 1, "concurrency": 32},
}


@pytest.fixture(scope="module")
def vllm() -> Iterator[None]:
    with fake_vllm.installed():
        yield


@pytest.fixture
def bound(vllm: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Ray's builder was asked for and what it made of it, for each entry."""
    from ray.serve import llm

    monkeypatch.setattr("ray.get_runtime_context", lambda: SimpleNamespace(runtime_env={}))
    builder, seen = llm.build_llm_deployment, list[Any]()

    def build_and_keep(llm_config: Any, **kwargs: Any) -> Application:
        application = builder(llm_config, **kwargs)
        deployment = application._bound_deployment
        seen.append(SimpleNamespace(llm_config=llm_config, kwargs=kwargs, deployment=deployment))
        return application

    monkeypatch.setattr(llm, "build_llm_deployment", build_and_keep)
    return seen


def entry(**changes: Any) -> dict[str, Any]:
    return {**ENTRY, **changes}


def config_of(*models: dict[str, Any], **further: Any) -> ServerConfig:
    return ServerConfig.model_validate({"models": list(models), **further})


def test_a_model_becomes_a_deployment_of_its_name_that_is_scaled_like_the_others(bound: list[Any]) -> None:
    scaled = entry(autoscaling={"min_replicas": 0, "max_replicas": 3})
    build(config_of(scaled))
    [made] = bound
    deployment = made.deployment
    assert deployment.name == "qwen"
    assert deployment.func_or_class.__name__ == "VllmServer"
    assert (deployment.max_ongoing_requests, deployment.max_queued_requests) == (100 + 32 + 8, 100)
    autoscaling = deployment._deployment_config.autoscaling_config
    assert (autoscaling.min_replicas, autoscaling.max_replicas) == (0, 3)
    assert autoscaling.target_ongoing_requests == 32
    assert deployment._deployment_config.health_check_period_s == 2.0
    assert deployment._deployment_config.graceful_shutdown_timeout_s == 120.0


def test_the_gpus_are_the_workers_and_the_cpus_the_replicas(bound: list[Any]) -> None:
    wide = {"model_source": "x/y", "accelerator_type": "A10G", "engine_kwargs": {"tensor_parallel_size": 2}}
    build(config_of(ENTRY, entry(id="wide", options=wide)))
    one, two = (made.deployment._replica_config for made in bound)
    assert one.placement_group_bundles == [{"CPU": 2.0, "GPU": 1.0}]
    assert (one.ray_actor_options["num_cpus"], one.ray_actor_options["num_gpus"]) == (2.0, 0)
    kind = {"accelerator_type:A10G": 0.001}
    assert two.placement_group_bundles == [{"CPU": 2.0, "GPU": 1.0, **kind}, {"GPU": 1.0, **kind}]


def test_a_part_of_a_card_is_a_part_of_its_memory(bound: list[Any]) -> None:
    shared = entry(resources={"num_cpus": 1, "num_gpus": 0.5})
    own = entry(id="own", resources=shared["resources"])
    own["options"] = {**ENTRY["options"], "engine_kwargs": {"gpu_memory_utilization": 0.4}}
    build(config_of(shared, own))
    assert bound[0].deployment._replica_config.placement_group_bundles == [{"CPU": 1.0, "GPU": 0.5}]
    memory = [made.llm_config.engine_kwargs["gpu_memory_utilization"] for made in bound]
    assert memory == [0.5, 0.4]


def test_the_operators_own_placement_is_kept(bound: list[Any]) -> None:
    options = {**ENTRY["options"], "placement_group_config": {"bundles": [{"CPU": 4}], "strategy": "SPREAD"}}
    build(config_of(entry(options=options, resources={"num_cpus": 1})))
    replica = bound[0].deployment._replica_config
    assert replica.placement_group_bundles == [{"CPU": 5.0, "GPU": 0}]
    assert replica.placement_group_strategy == "SPREAD"


def test_the_options_reach_ray_serve_llm(bound: list[Any]) -> None:
    options = {
        "model_source": "/models/qwen",
        "tokenizer_source": "Qwen/Qwen2.5-7B-Instruct",
        "engine_kwargs": {"max_model_len": 8192, "tool_call_parser": "hermes"},
        "experimental_configs": {"stream_batching_interval_ms": 5},
        "env_vars": {"VLLM_LOGGING_LEVEL": "WARNING"},
    }
    build(config_of(entry(options=options), allow_downloads=True))
    made = bound[0].llm_config
    loading = made.model_loading_config
    assert (loading.model_id, loading.model_source) == ("qwen", "/models/qwen")
    assert loading.tokenizer_source == "Qwen/Qwen2.5-7B-Instruct"
    assert made.engine_kwargs == {"max_model_len": 8192, "tool_call_parser": "hermes"}
    assert made.experimental_configs == {"stream_batching_interval_ms": 5}
    assert made.runtime_env["env_vars"] == {"VLLM_LOGGING_LEVEL": "WARNING"}


def test_where_the_profile_allows_no_downloads_the_hub_is_not_asked(bound: list[Any]) -> None:
    build(config_of(ENTRY))
    env = bound[0].deployment._replica_config.ray_actor_options["runtime_env"]
    assert env["env_vars"] == {"HF_HUB_OFFLINE": "1"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tasks": ["text-to-image"]},
            "qwen: tasks: vLLM does no text-to-image here, only chat and embedding",
        ),
        ({"options": {}}, "qwen: options.model_source: Field required"),
        ({"options": {**ENTRY["options"], "max_model_len": 1}}, "qwen: options.max_model_len: Extra inputs"),
        ({"resources": {}}, "qwen: resources.num_gpus: 0 cannot be"),
        ({"resources": {"num_gpus": 2}}, "qwen: resources.num_gpus: 2 cannot be"),
        (
            {"options": {**ENTRY["options"], "placement_group_config": {"bundles": [{"GPU": 1}]}}},
            "leave resources.num_gpus out",
        ),
        (
            {"options": {**ENTRY["options"], "accelerator_type": "Z80"}},
            "qwen: options: .*Unsupported accelerator",
        ),
        ({"options": {**ENTRY["options"], "engine_kwargs": {"speed": 1}}}, "Unknown engine argument: speed"),
    ],
)
def test_a_wrong_entry_is_named_with_the_fix(bound: list[Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        build(config_of(entry(**changes)))


def test_without_the_extra_the_model_and_the_fix_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.serve.llm", None)
    with pytest.raises(ConfigError, match=r"models: qwen: engine: vllm needs .*pip install -e '\.\[vllm\]'"):
        build(config_of(ENTRY))


def test_nothing_of_it_is_imported_unless_an_entry_asks() -> None:
    code = (
        "import sys; from pathlib import Path; from configs.load import load_config; "
        "from deployments.app import build; build(load_config(Path('serve_config.yaml')).args); "
        "print([name for name in ('ray.serve.llm', 'ray.llm', 'vllm', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
