"""`ai-server bench images`: drawing, against diffusers called directly in this process."""

import io
import json
import statistics
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import psutil
import typer
from rich.console import Console

from configs.load import load_config
from configs.schema import ModelConfig
from configs.settings import Settings
from deployments.cli.bench.measure import Comparison, at_once, medians, report, timed
from deployments.cli.client import ask, connect
from pipelines.sources import Places, find_weights

PROMPT = "a red apple on a blue background"
CLIENTS = 8
PICTURES = 24
"""Drawn by the clients together, and by diffusers one after the other."""
PUBLISHED = {
    "sdxl": ({"steps": 30, "width": 1024, "height": 1024}, "SDXL, 30 steps, 1024², A100: 2.5 s"),
    "flux-schnell": (
        {"steps": 4, "width": 1024, "height": 1024},
        "Flux Schnell, 4 steps, 1024², H100: 0.5 to 0.8 s",
    ),
}
"""What others measured on one GPU, for whoever has one."""


def images(
    runs: Annotated[int, typer.Option(help="How often each side acts; medians are printed.")] = 9,
    profile: Annotated[Literal["cpu", "gpu"], typer.Option(help="Which models the server has.")] = "cpu",
    model: Annotated[str, typer.Option(help="The model that both sides draw with.")] = "tiny-sdxl",
    sleeping: Annotated[str, typer.Option(help="A model that sleeps, to be woken.")] = "tiny-flux",
    config_file: Annotated[Path, typer.Option(help="The running server's configuration.")] = Path(
        "serve_config.yaml"
    ),
) -> None:
    """Compare drawing with bare diffusers; the server must be running."""
    settings = Settings.from_environment()
    with connect(settings, timeout_s=600) as client:
        if profile == "gpu":
            _published(client, runs)
            return
        configured = next(each for each in load_config(config_file).args.models if each.id == model)
        report(
            f"One picture by {model}, and {CLIENTS} clients",
            list(_compare(client, configured, settings, runs)),
        )
        _wake(client, sleeping)
    _memory()


def _compare(client: httpx.Client, model: ModelConfig, settings: Settings, runs: int) -> Iterator[Comparison]:
    bare = _Bare(model, settings)

    def ours(**fields: Any) -> None:
        body = {"positivePrompt": PROMPT, "model": model.id, "outputFormat": "png", **fields}
        ask(client, "POST", "/api/TextToImage", json=body)

    bare_s, ours_s = medians(bare.draw, lambda: ours(seed=1), runs)
    yield Comparison("one client, to a stored PNG", bare_s, ours_s, 1.10)
    Console().print(
        f"The server adds {1000 * (ours_s - bare_s):.0f} ms to {1000 * bare_s:.0f} ms (limit 25 ms)."
    )
    crowd = medians(
        lambda: [bare.draw() for _ in range(PICTURES)],
        lambda: at_once(ours, CLIENTS, PICTURES),
        max(1, runs // 3),
    )
    yield Comparison(
        f"{PICTURES} pictures, {CLIENTS} clients / one after the other", *crowd, 1.3, "throughput"
    )


class _Bare:
    """diffusers with the server's settings, the same enlargement and the same file at the end."""

    def __init__(self, model: ModelConfig, settings: Settings) -> None:
        # Imported here: they take seconds, and the other benchmarks do not need them.
        import torch
        from diffusers import DiffusionPipeline

        from pipelines.diffusion.finishing import Enlarger
        from pipelines.loading import EngineSettings, import_class

        self._torch = torch
        threads = model.resources.threads or 1
        torch.set_num_threads(threads)
        assert model.pipeline is not None
        self._options = import_class("pipeline", model.pipeline).Options.model_validate(model.options)
        places = Places(settings.data_dir, settings.models_dir)
        weights = find_weights(model.id, model.source, model.sha256, places)
        self._pipe = DiffusionPipeline.from_pretrained(
            weights, torch_dtype=torch.float32, use_safetensors=True
        )
        self._pipe.set_progress_bar_config(disable=True)
        self._arguments: dict[str, Any] = {}
        if self._options.sizes:
            self._arguments = dict(zip(("width", "height"), self._options.sizes[0], strict=True))
        if hasattr(self._options, "prompt_tokens"):
            self._arguments["max_sequence_length"] = self._options.prompt_tokens
        self._enlarger = Enlarger(self._options.upscale, EngineSettings(threads=threads))

    def draw(self) -> bytes:
        with self._torch.inference_mode():
            picture = self._pipe(
                PROMPT,
                num_inference_steps=self._options.steps,
                guidance_scale=self._options.guidance,
                generator=self._torch.Generator().manual_seed(1),
                **self._arguments,
            ).images[0]
            size = self._options.default_size or picture.size
            large = self._enlarger.enlarge(picture, size, lambda _: None)
        file = io.BytesIO()
        large.save(file, "PNG", compress_level=4)
        return file.getvalue()


def _wake(client: httpx.Client, model: str) -> None:
    """Time the first picture of a model that sleeps."""
    replicas = ask(client, "GET", "/ready").json()
    seconds = timed(
        lambda: ask(client, "POST", "/api/TextToImage", json={"positivePrompt": PROMPT, "model": model})
    )
    state = json.dumps(next((each for each in replicas.get("models", []) if each.get("id") == model), {}))
    Console().print(f"First picture of {model}: {seconds:.1f} s. It was: {state}")


def _memory() -> None:
    """Print what each replica holds for itself."""
    for process in psutil.process_iter(["cmdline"]):
        title = " ".join(process.info["cmdline"] or [])
        if title.startswith("ray::ServeReplica"):
            Console().print(f"{title}: {process.memory_full_info().uss / 1e6:.0f} MB unshared")


def _published(client: httpx.Client, runs: int) -> None:
    """Time the GPU profile's models, beside what others measured."""
    for model, (fields, bar) in PUBLISHED.items():
        body = {"positivePrompt": PROMPT, "model": model, "seed": 1, **fields}
        draw = partial(ask, client, "POST", "/api/TextToImage", json=body)
        draw()
        median_s = statistics.median(timed(draw) for _ in range(runs))
        Console().print(f"{model}: {median_s:.2f} s (median of {runs}). Published: {bar}")
