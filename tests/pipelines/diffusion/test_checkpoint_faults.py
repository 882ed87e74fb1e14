import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.errors import ModelLoadError
from pipelines.flux import FluxPipeline
from pipelines.loading import load_pipeline
from pipelines.sdxl import SdxlPipeline
from tests.pipelines.diffusion.engines import ENGINE

WEIGHTS = "diffusion_pytorch_model.safetensors"


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5000])


def only_pickles(part: Path) -> None:
    (part / WEIGHTS).unlink()
    torch.save({}, part / "diffusion_pytorch_model.bin")


def shards_without_their_second(part: Path) -> None:
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    (part / "model.safetensors").rename(part / first)
    weights = {"text_model.embeddings.token_embedding.weight": second}
    index = json.dumps({"metadata": {"total_size": 1}, "weight_map": weights})
    (part / "model.safetensors.index.json").write_text(index)


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no folder": (shutil.rmtree, r"model_index\.json is missing"),
    "no index": (lambda folder: (folder / "model_index.json").unlink(), r"model_index\.json is missing"),
    "damaged index": (lambda folder: cut(folder / "model_index.json"), r"model_index\.json is damaged"),
    "a list as index": (
        lambda folder: (folder / "model_index.json").write_text("[]"),
        r"model_index\.json is damaged",
    ),
    "no unet": (lambda folder: shutil.rmtree(folder / "unet"), "unet is missing"),
    "no encoder": (lambda folder: shutil.rmtree(folder / "text_encoder_2"), "text_encoder_2 is missing"),
    "no tokenizer": (lambda folder: shutil.rmtree(folder / "tokenizer"), "tokenizer is missing"),
    "no vocabulary": (lambda folder: (folder / "tokenizer" / "tokenizer.json").unlink(), "tokenizer"),
    "no scheduler": (lambda folder: shutil.rmtree(folder / "scheduler"), "scheduler is missing"),
    "no scheduler's configuration": (
        lambda folder: (folder / "scheduler" / "scheduler_config.json").rename(folder / "scheduler" / "x"),
        "scheduler",
    ),
    "no configuration": (
        lambda folder: (folder / "vae" / "config.json").unlink(),
        r"vae/config\.json is missing",
    ),
    "damaged configuration": (lambda folder: cut(folder / "vae" / "config.json"), "vae"),
    "no weights": (
        lambda folder: (folder / "unet" / WEIGHTS).unlink(),
        r"unet has no \.safetensors file\. Fetch",
    ),
    "only pickles": (
        lambda folder: only_pickles(folder / "unet"),
        r"unet has no \.safetensors file\. Convert it",
    ),
    "half the weights": (lambda folder: cut(folder / "unet" / WEIGHTS), rf"unet/{WEIGHTS} is damaged"),
    "half an encoder": (
        lambda folder: cut(folder / "text_encoder" / "model.safetensors"),
        r"text_encoder/model\.safetensors is damaged",
    ),
    "no second shard": (
        lambda folder: shards_without_their_second(folder / "text_encoder"),
        r"text_encoder/model-00002-of-00002\.safetensors",
    ),
}


@pytest.mark.parametrize(("harm", "reason"), FAULTS.values(), ids=FAULTS)
def test_a_checkpoint_with_a_fault_is_not_loaded_and_the_message_names_the_file(
    harm: Callable[[Path], Any], reason: str, sdxl_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "harmed"
    shutil.copytree(sdxl_folder, folder)
    harm(folder)
    with pytest.raises(ModelLoadError, match=reason) as fault:
        SdxlPipeline(folder, SdxlPipeline.Options(), ENGINE)
    assert str(folder) in fault.value.message


def test_a_checkpoint_of_another_family_is_not_loaded(sdxl_folder: Path, flux_folder: Path) -> None:
    with pytest.raises(ModelLoadError, match="cannot be loaded as a StableDiffusionXLPipeline"):
        SdxlPipeline(flux_folder, SdxlPipeline.Options(), ENGINE)
    with pytest.raises(ModelLoadError, match="cannot be loaded as a FluxPipeline"):
        FluxPipeline(sdxl_folder, FluxPipeline.Options(), ENGINE)


def test_without_a_source_there_is_no_model() -> None:
    with pytest.raises(ModelLoadError, match="needs a 'source'"):
        SdxlPipeline(None, SdxlPipeline.Options(), ENGINE)


@pytest.mark.parametrize("missing", ["transformer", "text_encoder_2", "tokenizer_2"])
def test_a_part_of_flux_is_missing(missing: str, flux_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "harmed"
    shutil.copytree(flux_folder, folder)
    shutil.rmtree(folder / missing)
    with pytest.raises(ModelLoadError, match=f"{missing} is missing"):
        FluxPipeline(folder, FluxPipeline.Options(), ENGINE)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"scheduler": "ruler"}, r"options: There is no scheduler 'ruler'\. Choose one of: euler"),
        ({"scheduler": "lcm", "steps": 60}, "options: This scheduler takes at most 50 steps, not 60"),
        ({"sizes": [[64, 64], [64, 100]]}, "sizes has 64 x 100; sides must be multiples of 8"),
        ({"steps": 0}, "options: steps"),
        ({"colour": "red"}, "options: colour"),
        ({"variant": "fp16"}, "cannot be loaded"),
    ],
)
def test_options_that_do_not_fit_are_found_while_it_is_loaded(
    options: dict[str, Any], advice: str, sdxl_folder: Path
) -> None:
    with pytest.raises(ModelLoadError, match=advice):
        load_pipeline("pipelines.sdxl:SdxlPipeline", ["text-to-image"], sdxl_folder, options, ENGINE)


@pytest.mark.parametrize("name", ["sdxl:SdxlPipeline", "flux:FluxPipeline"])
def test_the_configuration_can_name_it_for_all_three_tasks(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(f"{name.partition(':')[0]}_folder")
    tasks = ["text-to-image", "image-to-image", "image-with-mask"]
    load_pipeline(f"pipelines.{name}", tasks, folder, {}, ENGINE)
