"""The schema of ``applications[].args`` in a Serve configuration file; unknown keys are refused.

Every value that a deployment needs comes from here or, for secrets and facts of the machine,
from `configs.settings`. Sizes are in bytes, times in seconds.
"""

from collections import Counter
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from configs.base import Config
from configs.included import with_files
from configs.routing import ExternalConfig, FailoverConfig, ProviderConfig, RoutingConfig

MIB = 1024 * 1024
INGRESS_ID = "ingress"
TRANSFORMS_ID = "transforms"
JOBS_ID = "jobs"
RESERVED_IDS = {INGRESS_ID, TRANSFORMS_ID, JOBS_ID}
"""Deployments that are no models."""


class FolderSource(Config):
    """Weights in a local folder (or a single file)."""

    folder: str
    """Relative paths lie under ``AI_SERVER_DATA``; ``~`` is the home folder."""


class PackageSource(Config):
    """Weights that an installed Python package carries."""

    package: str
    """Import name of the package."""
    path: str = ""
    """Folder or file inside the package."""
    join: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """File name -> its parts in order, each as ``import_name/path``; for weights split over packages."""


class HubSource(Config):
    """Weights in a Hugging Face repository; fetched only where the profile allows downloads."""

    hub: str
    revision: str
    """A commit, tag or branch; pin a commit for reproducible deployments."""
    files: tuple[str, ...] = ()
    """Glob patterns of the files to fetch; empty fetches all."""


def _source_kind(value: Any) -> str | None:
    keys = value if isinstance(value, dict) else vars(value)
    return next((kind for kind in ("folder", "package", "hub") if kind in keys), None)


ModelSource = Annotated[
    Annotated[FolderSource, Tag("folder")]
    | Annotated[PackageSource, Tag("package")]
    | Annotated[HubSource, Tag("hub")],
    Discriminator(
        _source_kind,
        custom_error_type="source_kind",
        custom_error_message="a source has one of the keys 'folder', 'package' or 'hub'",
    ),
]


class Resources(Config):
    """What one replica reserves in the cluster, and how much work it takes at once."""

    num_cpus: float = Field(default=1.0, ge=0)
    num_gpus: float = Field(default=0.0, ge=0)
    """A fraction shares one GPU between replicas (memory is not isolated). vLLM: of each of its workers."""
    threads: int | None = Field(default=None, ge=1, le=256)
    """Engine threads of one run; None: every core of the node for GPU-less models, 1 with a GPU."""
    concurrency: int = Field(default=1, ge=1, le=256)
    """Runs at once in one replica; more than 1 only for vLLM and for pipelines that are thread-safe."""


class Autoscaling(Config):
    """How many replicas; ``min_replicas: 0`` sleeps when idle and wakes with the first request."""

    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(default=1, ge=1)
    target_ongoing_requests: float | None = Field(default=None, gt=0)
    """Per replica; None: as many as it runs at once, so that a full replica asks for a second one."""
    upscale_delay_s: float = Field(default=5.0, ge=0)
    downscale_delay_s: float = Field(default=120.0, ge=0)
    downscale_to_zero_delay_s: float = Field(default=600.0, ge=0)

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "Autoscaling":
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas must not be above max_replicas")
        return self


class ModelConfig(Config):
    """One model: what it is called, what it does, which code runs it and where its weights lie."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    tasks: tuple[str, ...] = Field(min_length=1)
    pipeline: str | None = Field(default=None, pattern=r"^[\w.]+:\w+$")
    """Dotted path of its class: ``pipelines.whisper:WhisperPipeline``; None: providers serve it, or vLLM."""
    engine: Literal["vllm"] | None = None
    """``vllm``: Ray Serve LLM runs it, without a pipeline of ours; `configs.vllm` has its ``options``."""
    routing: RoutingConfig = RoutingConfig()
    """When our own replicas are chosen, where `external` gives a choice."""
    external: tuple[ExternalConfig, ...] = ()
    """Providers that serve it."""
    source: tuple[ModelSource, ...] = ()
    """Places where the weights may lie; the first hit wins. Empty: the engine carries its weights itself."""
    sha256: dict[str, str] = Field(default_factory=dict)
    """File name -> hex digest, checked before the first load."""
    aliases: tuple[str, ...] = ()
    """Further names under which clients may ask for it, e.g. OpenAI's ``whisper-1`` or ``alloy``."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Passed to the pipeline, which validates them."""
    resources: Resources = Resources()
    autoscaling: Autoscaling = Autoscaling()

    @model_validator(mode="after")
    def _is_served(self) -> "ModelConfig":
        if not self.is_native and not self.external:
            raise ValueError("a model needs a 'pipeline', an 'engine' or somebody 'external'")
        if self.engine is not None and self.pipeline is not None:
            raise ValueError("a model has a 'pipeline' or an 'engine', not both")
        if self.engine is not None and (self.source or self.sha256):
            raise ValueError(
                "engine: vllm loads what 'options.model_source' names; leave 'source' and 'sha256' out"
            )
        return self

    @property
    def is_native(self) -> bool:
        """Whether it has a deployment of its own."""
        return self.pipeline is not None or self.engine is not None

    @field_validator("sha256")
    @classmethod
    def _digests_are_hex(cls, digests: dict[str, str]) -> dict[str, str]:
        for name, digest in digests.items():
            if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
                raise ValueError(f"{name}: a sha256 is 64 lower-case hex digits")
        return digests


class TransformTaskConfig(Config):
    """The Ray task that runs one queued transform."""

    num_cpus: float = Field(default=1.0, gt=0)
    threads: int | None = Field(default=None, ge=1, le=256)
    """Of its ffmpeg; None: as many as it reserves, at least one."""
    at_once: int | None = Field(default=None, ge=1)
    """None: as many as the cluster's CPUs take beside the models. With a number so many are begun, and those
    that the cluster has no room for wait in Ray, where its autoscaler sees them and adds nodes."""


class TransformsConfig(Config):
    """The media operations without a model: a deployment for those who wait, Ray tasks for the queue."""

    enabled: bool = True
    resources: Resources = Resources(num_cpus=1.0, concurrency=2)
    autoscaling: Autoscaling = Autoscaling()
    jobs: TransformTaskConfig = TransformTaskConfig()
    ffmpeg: str | None = None
    """Path or name of an ffmpeg, version 6 or later; None is the one of the package imageio-ffmpeg."""

    @property
    def threads(self) -> int:
        """Of one run of ffmpeg."""
        return self.resources.threads or max(1, round(self.resources.num_cpus))

    @property
    def for_jobs(self) -> "TransformsConfig":
        """The same for one queued transform."""
        resources = Resources(num_cpus=self.jobs.num_cpus, threads=self.jobs.threads, concurrency=1)
        return self.model_copy(update={"resources": resources})


class IngressConfig(Config):
    """The HTTP front."""

    num_replicas: int = Field(default=1, ge=1)
    num_cpus: float = Field(default=0.2, ge=0)
    max_ongoing_requests: int = Field(default=500, ge=1)
    public_url: str | None = None
    """Prefix of result URLs; None takes the address that the client used."""
    access_log: bool = True


class MediaLimitsConfig(Config):
    """What a file of sound or video may weigh, and what one run of ffmpeg may take."""

    video_pixels: int = Field(default=36_000_000, ge=1)
    """Width x height of one frame."""
    duration_s: float = Field(default=14_400.0, gt=0)
    frames: int = Field(default=1_000_000, ge=1)
    streams: int = Field(default=32, ge=1)
    output_bytes: int = Field(default=4096 * MIB, ge=1)
    memory_bytes: int = Field(default=4096 * MIB, ge=256 * MIB)
    """Of address space."""
    cpu_s: int = Field(default=14_400, ge=1)
    """Computing time of all cores together."""
    wall_s: float = Field(default=7_200.0, gt=0)


class LimitsConfig(Config):
    """What a request may weigh."""

    upload_bytes: int = Field(default=500 * MIB, ge=1)
    """One request's body, all files together."""
    json_bytes: int = Field(default=1 * MIB, ge=1)
    """A body without files, or one text field of a form."""
    chat_bytes: int = Field(default=50 * MIB, ge=1)
    """A body of messages, which may hold pictures as base64."""
    image_pixels: int = Field(default=100_000_000, ge=1)
    """Width x height x frames of a decoded picture."""
    media: MediaLimitsConfig = MediaLimitsConfig()
    queued_requests: int = Field(default=100, ge=1)
    """Requests that may wait in one replica of a model; above it the answer is 429."""


class TimeoutsConfig(Config):
    """How long things may take."""

    request_s: float = Field(default=60.0, gt=0)
    """A synchronous call, which then goes on as a job; streams end later, but must begin within it."""
    job_s: float = Field(default=1200.0, gt=0)
    """One run of a job."""
    job_by_task_s: dict[str, float] = Field(default_factory=dict)
    """Task -> the same for this task, e.g. ``speech-to-text: 7200``."""
    webhook_s: float = Field(default=15.0, gt=0, le=45)
    """One attempt to deliver a webhook."""
    stall_s: float = Field(default=300.0, gt=0)
    """A run that shows no progress for so long marks its replica as unhealthy; Serve then replaces it."""
    shutdown_s: float = Field(default=120.0, gt=0)
    """How long a replica that must go may finish its runs."""

    def job_limit_s(self, task: str) -> float:
        """Give the time limit of one run of a task."""
        return self.job_by_task_s.get(task, self.job_s)


class JobsConfig(Config):
    """The queue."""

    num_cpus: float = Field(default=0.1, ge=0)
    """Of the deployment that dispatches."""
    runners: int = Field(default=1, ge=1)
    """Processes that wait for running jobs; one is enough for hundreds at once."""
    max_attempts: int = Field(default=3, ge=1)
    """After so many runs that failed for no fault of the request, a job is a dead letter."""
    lease_s: float = Field(default=15.0, ge=5)
    """A runner that gives no sign of life for so long has lost its jobs."""


class StorageConfig(Config):
    """How long and how much is kept."""

    keep_jobs_days: float = Field(default=30.0, gt=0)
    """Ended jobs."""
    keep_artifacts_days: float = Field(default=30.0, gt=0)
    """Results."""
    keep_inputs_days: float = Field(default=1.0, gt=0)
    """Uploads, after their job has ended."""
    quota_bytes: int | None = Field(default=None, ge=1)
    """Of all stored files together; None is bounded by the disk alone."""
    min_free_bytes: int = Field(default=100 * MIB, ge=0)
    """What stays free on the disk: with less nothing new is stored, and no job is begun."""


class OutsideConfig(Config):
    """Addresses that clients name and the server contacts (``replyTo``)."""

    allow_networks: tuple[str, ...] = ()
    """Networks that are not the internet and may be contacted all the same, e.g. ``10.1.0.0/16``."""

    @field_validator("allow_networks")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network)  # its ValueError says what is wrong
        return networks


class ServerConfig(Config):
    """The whole application."""

    profile: str = "cpu"
    """A name for people; it shows in the banner and in /ready."""
    models: tuple[ModelConfig, ...] = ()
    """In order of preference: the first that solves a task is its default."""
    providers: tuple[ProviderConfig, ...] = ()
    """Other people's APIs. In a file, the name of a list may stand among them: `configs.included`."""
    failover: FailoverConfig = FailoverConfig()
    allow_downloads: bool = False
    """Whether ``hub`` sources may be fetched over the network."""
    transforms: TransformsConfig = TransformsConfig()
    ingress: IngressConfig = IngressConfig()
    jobs: JobsConfig = JobsConfig()
    storage: StorageConfig = StorageConfig()
    outside: OutsideConfig = OutsideConfig()
    limits: LimitsConfig = LimitsConfig()
    timeouts: TimeoutsConfig = TimeoutsConfig()

    @model_validator(mode="after")
    def _providers_are_known(self) -> "ServerConfig":
        ids = Counter(provider.id for provider in self.providers)
        if twice := sorted(name for name, count in ids.items() if count > 1):
            raise ValueError(f"each provider's id may be used once; used more often: {', '.join(twice)}")
        if clash := sorted(ids.keys() & {model.id for model in self.models}):
            raise ValueError(f"these ids name a model and a provider: {', '.join(clash)}")
        for model in self.models:
            if unknown := sorted({each.provider for each in model.external} - ids.keys()):
                raise ValueError(f"{model.id}.external: no such provider: {', '.join(unknown)}")
        return self

    @property
    def native_models(self) -> tuple[ModelConfig, ...]:
        """The models that have a deployment."""
        return tuple(model for model in self.models if model.is_native)

    def provider(self, name: str) -> ProviderConfig:
        """Give a provider by its id."""
        return next(each for each in self.providers if each.id == name)

    def concurrency_at(self, external: ExternalConfig) -> int:
        """Give how many requests at once may go to a provider for one model."""
        return external.concurrency or self.provider(external.provider).concurrency

    @field_validator("providers", mode="before")
    @classmethod
    def _files_are_read(cls, providers: Any) -> Any:
        return with_files(providers)

    @field_validator("models")
    @classmethod
    def _names_are_unique(cls, models: tuple[ModelConfig, ...]) -> tuple[ModelConfig, ...]:
        if reserved := sorted({model.id for model in models} & RESERVED_IDS):
            raise ValueError(f"these ids are the server's own: {', '.join(reserved)}")
        names = Counter(name.lower() for model in models for name in (model.id, *model.aliases))
        if twice := sorted(name for name, count in names.items() if count > 1):
            raise ValueError(f"each id and alias may be used once; used more often: {', '.join(twice)}")
        return models
