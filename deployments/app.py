"""build(config) -> Application: the only place that binds deployments together."""

from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig

from configs.load import ConfigError
from configs.schema import (
    INGRESS_ID,
    JOBS_ID,
    TRANSFORMS_ID,
    Autoscaling,
    ModelConfig,
    Resources,
    ServerConfig,
)
from configs.settings import Settings
from deployments.ingress import Ingress
from deployments.job_server import JobServer
from deployments.model_server import ModelServer
from deployments.transform_server import TransformServer
from deployments.vllm_binding import bind_vllm
from pipelines.errors import ModelLoadError
from pipelines.providers.loading import check_provider
from pipelines.tasks import TASKS

HEALTH_CHECK_PERIOD_S = 2.0
"""A dead single replica is noticed after about this long (10 s is Serve's default: 11.6 s of errors)."""

SPARE_REQUESTS = 8
"""For questions about the replica itself; they pass the gate."""

JOBS_ONGOING = 100
"""Calls to the job server are short: wake up, stop this job."""

ROUTER = {"initial_backoff_s": 0.005, "max_backoff_s": 0.02}
"""Serve's default back-off leaves a saturated replica idle between requests."""


def build(args: ServerConfig) -> Application:
    """Bind the application that a Serve configuration file describes (its ``import_path``).

    One deployment for each model, one for the transforms, one ingress in front of them. Relative
    data folders become absolute here, so that every process means the same one.

    Raises:
        ConfigError: a model is configured for a task that there is not, a provider's options are wrong, or a
            model asks for vLLM, which is not installed.
    """
    _check_tasks(args)
    _check_providers(args)
    settings = Settings.from_environment()
    bound: dict[str, Application] = {model.id: _model(model, args, settings) for model in args.native_models}
    if args.transforms.enabled:
        bound[TRANSFORMS_ID] = _worker(
            TransformServer, TRANSFORMS_ID, args.transforms.resources, args.transforms.autoscaling, args
        ).bind(args, settings)
    bound[JOBS_ID] = _jobs(args).bind(args, settings, dict(bound))
    return _ingress(args).bind(args, settings, bound)


def _check_tasks(config: ServerConfig) -> None:
    for place, model in enumerate(config.models):
        if unknown := sorted(set(model.tasks) - set(TASKS)):
            raise ConfigError(
                f"models[{place}].tasks: unknown: {', '.join(unknown)}. Tasks: {', '.join(sorted(TASKS))}"
            )


def _check_providers(config: ServerConfig) -> None:
    try:
        for provider in config.providers:
            check_provider(provider)
    except ModelLoadError as error:
        raise ConfigError(str(error)) from error


def _model(model: ModelConfig, config: ServerConfig, settings: Settings) -> Application:
    if model.engine is not None:
        return bind_vllm(model, config, _options(model.id, model.resources, model.autoscaling, config))
    worker = _worker(ModelServer, model.id, model.resources, model.autoscaling, config)
    return worker.bind(model, config, settings)


def _worker(
    server: type[Any], name: str, resources: Resources, autoscaling: Autoscaling, config: ServerConfig
) -> serve.Deployment:
    return serve.deployment(
        ray_actor_options={"num_cpus": resources.num_cpus, "num_gpus": resources.num_gpus},
        **_options(name, resources, autoscaling, config),
    )(server)


def _options(
    name: str, resources: Resources, autoscaling: Autoscaling, config: ServerConfig
) -> dict[str, Any]:
    return {
        "name": name,
        # Whatever may wait for the model waits in its gate, where the order is known; and a replica
        # whose line is full still has room for the questions of /ready.
        "max_ongoing_requests": config.limits.queued_requests + resources.concurrency + SPARE_REQUESTS,
        "max_queued_requests": config.limits.queued_requests,
        "autoscaling_config": _autoscaling(autoscaling, resources),
        "health_check_period_s": HEALTH_CHECK_PERIOD_S,
        "graceful_shutdown_timeout_s": config.timeouts.shutdown_s,
        "request_router_config": ROUTER,
    }


def _autoscaling(autoscaling: Autoscaling, resources: Resources) -> AutoscalingConfig:
    return AutoscalingConfig(
        min_replicas=autoscaling.min_replicas,
        initial_replicas=autoscaling.min_replicas,
        max_replicas=autoscaling.max_replicas,
        target_ongoing_requests=autoscaling.target_ongoing_requests or resources.concurrency,
        upscale_delay_s=autoscaling.upscale_delay_s,
        downscale_delay_s=autoscaling.downscale_delay_s,
        downscale_to_zero_delay_s=autoscaling.downscale_to_zero_delay_s,
        # 10 s, the default, makes a cold start take 8-13 s instead of 2-4 s.
        metrics_interval_s=1.0,
        look_back_period_s=5.0,
    )


def _jobs(config: ServerConfig) -> serve.Deployment:
    return serve.deployment(
        name=JOBS_ID,
        num_replicas=1,
        max_ongoing_requests=JOBS_ONGOING,
        ray_actor_options={"num_cpus": config.jobs.num_cpus},
        health_check_period_s=HEALTH_CHECK_PERIOD_S,
        # Its jobs run elsewhere, so it may go at once.
        graceful_shutdown_timeout_s=5.0,
        request_router_config=ROUTER,
    )(JobServer)


def _ingress(config: ServerConfig) -> serve.Deployment:
    ingress = config.ingress
    return serve.deployment(
        name=INGRESS_ID,
        num_replicas=ingress.num_replicas,
        max_ongoing_requests=ingress.max_ongoing_requests,
        ray_actor_options={"num_cpus": ingress.num_cpus},
        health_check_period_s=HEALTH_CHECK_PERIOD_S,
        graceful_shutdown_timeout_s=config.timeouts.shutdown_s,
        request_router_config=ROUTER,
    )(serve.ingress()(Ingress))
