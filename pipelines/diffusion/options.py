"""How a picture model is set up; ``options:`` of its entry in the configuration."""

from typing import Annotated, Literal

from pydantic import Field

from pipelines.loading import PipelineOptions
from pipelines.tasks.base import Record
from pipelines.upscaling.networks import NetworkName

Pixels = Annotated[int, Field(ge=64, le=4096)]


class LoraOption(Record):
    """A LoRA that requests may name."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    file: str
    """Path of the safetensors file; relative ones lie in the checkpoint's folder."""
    weight: float = Field(default=1.0, ge=-4.0, le=4.0)
    always: bool = False
    """Whether it is on without being asked for (Lightning and other few-step LoRAs)."""


class UpscaleOption(Record):
    """Enlarges what was drawn, where more is asked for than the model draws."""

    weights: str
    """``import_name/path`` inside an installed package, or the absolute path of a folder."""
    network: NetworkName = "drawing"


class ContentCheckOption(Record):
    """Looks at every picture before anybody sees it, previews too."""

    check: str = Field(default="pipelines.content_check:OpenNsfwCheck", pattern=r"^[\w.]+:\w+$")
    """Dotted path of the class."""
    threshold: float = Field(default=0.8, ge=0.0, le=1.0)
    """Pictures with a score above it are withheld."""


class DiffusionOptions(PipelineOptions):
    """Defaults and bounds of one checkpoint."""

    steps: int = Field(default=30, ge=1, le=150)
    guidance: float = Field(default=5.0, ge=0.0, le=30.0)
    scheduler: str | None = None
    """One of `pipelines.diffusion.schedulers.SCHEDULERS`; None takes the checkpoint's own."""
    scheduler_settings: dict[str, str | float | bool] = Field(default_factory=dict)
    """Changes to the scheduler's configuration, e.g. ``timestep_spacing: trailing`` for few-step models."""
    sizes: tuple[tuple[Pixels, Pixels], ...] = ()
    """Width and height of the only pictures that the checkpoint draws well; empty: any, within the bounds."""
    min_pixels: int = Field(default=64 * 64, ge=64 * 64)
    max_pixels: int = Field(default=2048 * 1024, ge=64 * 64)
    """Width x height; what is asked beyond is drawn at the bound and scaled to what was asked."""
    default_size: tuple[Pixels, Pixels] | None = None
    """Width and height where a request gives none; None takes the checkpoint's own."""
    max_batch: int = Field(default=1, ge=1, le=64)
    """Pictures that are computed at once: of one request, and of waiting ones that leave the seed open."""
    tile_above_pixels: int = Field(default=1536 * 1536, ge=64 * 64)
    """Above it the autoencoder works in tiles, which bounds its memory."""
    loras: tuple[LoraOption, ...] = ()
    upscale: UpscaleOption | None = None
    content_check: ContentCheckOption | None = None
    metadata: bool = True
    """Whether files say how they were made: prompt, seed, model, settings."""
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    """None: float32 on a CPU, the family's own on a GPU."""
    variant: str | None = None
    """Of the weights' files, e.g. ``fp16``."""
    offload: Literal["none", "model", "sequential"] = "none"
    """Keeps weights in main memory and brings them to the GPU when needed: slower, smaller."""
