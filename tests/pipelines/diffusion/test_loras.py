from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline as BareFluxPipeline
from diffusers import FluxTransformer2DModel, StableDiffusionXLPipeline
from peft import LoraConfig, get_peft_model_state_dict
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from pipelines.errors import InvalidInput, ModelLoadError
from pipelines.flux import FluxPipeline
from pipelines.sdxl import SdxlPipeline
from pipelines.tasks.text_to_image import TextToImageRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.checkpoints import sdxl_unet
from tests.pipelines.diffusion.conftest import MakeSdxl
from tests.pipelines.diffusion.engines import ENGINE, drawings, farthest, images


def request(*loras: str, **changes: Any) -> TextToImageRequest:
    return TextToImageRequest(prompt="a red fox", seed=1, width=64, height=64, loras=loras, **changes)


def adapter(model: Any, seed: int, *layers: str) -> Any:
    """Give random changes to a model's layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=list(layers)))
        state = get_peft_model_state_dict(model)
        return {name: torch.randn_like(value) / 2 for name, value in state.items()}


def write_unet_lora(file: Path, seed: int, unet: Any) -> str:
    layers = adapter(unet, seed, "to_q", "to_k", "to_v", "to_out.0")
    StableDiffusionXLPipeline.save_lora_weights(file.parent, unet_lora_layers=layers, weight_name=file.name)
    return str(file)


@pytest.fixture(scope="module")
def sketch(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_unet_lora(tmp_path_factory.mktemp("loras") / "sketch.safetensors", 1, sdxl_unet())


@pytest.fixture(scope="module")
def ink(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_unet_lora(tmp_path_factory.mktemp("loras") / "ink.safetensors", 2, sdxl_unet())


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory, sdxl_folder: Path) -> str:
    """Changes the text encoders."""
    folder = tmp_path_factory.mktemp("loras")
    small = CLIPTextModel.from_pretrained(sdxl_folder / "text_encoder")
    large = CLIPTextModelWithProjection.from_pretrained(sdxl_folder / "text_encoder_2")
    StableDiffusionXLPipeline.save_lora_weights(
        folder,
        text_encoder_lora_layers=adapter(small, 3, "q_proj", "v_proj"),
        text_encoder_2_lora_layers=adapter(large, 4, "q_proj", "v_proj"),
        weight_name="voice.safetensors",
    )
    return str(folder / "voice.safetensors")


@pytest.fixture(scope="module")
def drawing(make_sdxl: MakeSdxl, sketch: str, ink: str, voice: str) -> SdxlPipeline:
    """Has three LoRAs that requests may name, one of them with a dot in its name."""
    files = {"sketch-1.5": sketch, "ink": ink, "voice": voice}
    return make_sdxl(loras=[{"name": name, "file": file} for name, file in files.items()])


def test_without_a_lora_it_is_the_plain_checkpoint(
    drawing: SdxlPipeline, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    (plain,) = images(sdxl, request(), workspace)
    for wish in (request(), request("sketch-1.5"), request(), request("voice", "ink"), request()):
        (image,) = images(drawing, wish, workspace)
        assert (farthest(image, plain) == 0) == (not wish.loras)


def test_a_lora_draws_what_diffusers_draws_with_it(
    drawing: SdxlPipeline, sketch: str, ink: str, sdxl_folder: Path, workspace: FolderWorkspace
) -> None:
    (ours,) = images(drawing, request("sketch-1.5:0.5", "ink:-1"), workspace)
    bare = StableDiffusionXLPipeline.from_pretrained(sdxl_folder)
    bare.set_progress_bar_config(disable=True)
    for name, file in {"one": sketch, "two": ink}.items():
        bare.load_lora_weights(Path(file).parent, weight_name=Path(file).name, adapter_name=name)
    bare.set_adapters(["one", "two"], [0.5, -1.0])
    arguments = {"prompt": "a red fox", "width": 64, "height": 64, "num_inference_steps": 3}
    generator = [torch.Generator("cpu").manual_seed(1)]
    (expected,) = bare(**arguments, guidance_scale=5.0, generator=generator).images
    assert farthest(ours, expected) <= 1


def test_the_weight_matters_and_nought_switches_off(
    drawing: SdxlPipeline, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    whole, half, none = (images(drawing, request(wish), workspace)[0] for wish in ("ink", "ink:0.5", "ink:0"))
    (one,) = images(drawing, request("ink:1.0"), workspace)
    (plain,) = images(sdxl, request(), workspace)
    assert farthest(whole, one) == 0
    assert farthest(none, plain) <= 1
    assert min(farthest(whole, half), farthest(half, plain), farthest(whole, plain)) > 1


def test_a_lora_may_be_always_on(
    make_sdxl: MakeSdxl, drawing: SdxlPipeline, ink: str, sketch: str, workspace: FolderWorkspace
) -> None:
    loras = [{"name": "ink", "file": ink, "weight": 0.7, "always": True}, {"name": "sketch", "file": sketch}]
    pipeline = make_sdxl(loras=loras)
    for wish, same in [
        (request(), request("ink:0.7")),
        (request("ink:0.2"), request("ink:0.2")),
        (request("sketch"), request("ink:0.7", "sketch-1.5")),
    ]:
        (image,) = images(pipeline, wish, workspace)
        assert farthest(image, images(drawing, same, workspace)[0]) <= 1


def test_a_file_may_lie_in_the_checkpoints_folder(
    make_sdxl: MakeSdxl, ink: str, sdxl_folder: Path, drawing: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    (sdxl_folder / "beside.safetensors").write_bytes(Path(ink).read_bytes())
    pipeline = make_sdxl(loras=[{"name": "beside", "file": "beside.safetensors"}])
    (image,) = images(pipeline, request("beside"), workspace)
    assert farthest(image, images(drawing, request("ink"), workspace)[0]) == 0


def test_what_the_text_encoders_gave_with_one_lora_is_not_taken_for_another(
    make_sdxl: MakeSdxl, voice: str, sdxl: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    """Also not what they gave for an empty prompt, which fills up the shorter of two prompts."""
    pipeline = make_sdxl(loras=[{"name": "voice", "file": voice}])
    wish = request("voice", negative_prompt="blurry " * 80)
    plain = wish.model_copy(update={"loras": ()})
    (first,) = images(pipeline, wish, workspace)
    (without,) = images(pipeline, plain, workspace)
    assert farthest(first, without) > 0
    assert farthest(without, images(sdxl, plain, workspace)[0]) == 0
    assert farthest(first, images(pipeline, wish, workspace)[0]) == 0


def test_the_metadata_name_the_loras(drawing: SdxlPipeline, workspace: FolderWorkspace) -> None:
    drawn = drawings(drawing, request("sketch-1.5:0.5", "ink"), workspace).pictures[0]
    assert "Loras: ink:1 sketch-1.5:0.5" in (drawn.parameters or "")


def test_flux_takes_them_too(
    flux: FluxPipeline, flux_folder: Path, tmp_path: Path, workspace: FolderWorkspace
) -> None:
    transformer = FluxTransformer2DModel.from_pretrained(flux_folder / "transformer")
    layers = adapter(transformer, 5, "to_q", "to_k", "to_v")
    BareFluxPipeline.save_lora_weights(
        tmp_path, transformer_lora_layers=layers, weight_name="ink.safetensors"
    )
    loras = [{"name": "ink", "file": str(tmp_path / "ink.safetensors")}]
    pipeline = FluxPipeline(
        flux_folder, FluxPipeline.Options.model_validate({"steps": 3, "loras": loras}), ENGINE
    )
    (plain,) = images(flux, request(), workspace)
    (with_ink,) = images(pipeline, request("ink"), workspace)
    (without,) = images(pipeline, request(), workspace)
    assert farthest(with_ink, plain) > 1
    assert farthest(without, plain) == 0


@pytest.mark.parametrize(
    ("wanted", "advice"),
    [
        ("oil", r"no LoRA 'oil'\. This model has: sketch-1\.5, ink, voice"),
        ("", r"no LoRA ''"),
        ("ink:much", "The weight in 'ink:much' must be a number from -4 to 4"),
        ("ink:4.1", "from -4 to 4"),
        ("ink:nan", "from -4 to 4"),
        ("ink:inf", "from -4 to 4"),
    ],
)
def test_a_lora_that_there_is_not_is_refused(
    wanted: str, advice: str, drawing: SdxlPipeline, workspace: FolderWorkspace
) -> None:
    with pytest.raises(InvalidInput, match=advice) as refusal:
        images(drawing, request(wanted), workspace)
    assert refusal.value.field == "loras"


def test_a_model_without_loras_says_so(sdxl: SdxlPipeline, workspace: FolderWorkspace) -> None:
    with pytest.raises(InvalidInput, match=r"no LoRA 'ink'\. This model has: none"):
        images(sdxl, request("ink"), workspace)


def test_a_lora_that_does_not_fit_is_not_loaded(
    make_sdxl: MakeSdxl, ink: str, flux_folder: Path, tmp_path: Path
) -> None:
    wide = write_unet_lora(tmp_path / "wide.safetensors", 1, sdxl_unet(width=48))
    (tmp_path / "cut.safetensors").write_bytes(Path(ink).read_bytes()[:2000])
    (tmp_path / "pickle.bin").write_bytes(b"")
    other = flux_folder / "vae" / "diffusion_pytorch_model.safetensors"
    for file, advice in [
        (wide, "LoRA it does not fit the model"),
        (str(other), "LoRA it does not fit the model"),
        (str(tmp_path / "cut.safetensors"), r"LoRA it .*cut\.safetensors"),
        (str(tmp_path / "missing.safetensors"), r"LoRA it: .*missing\.safetensors is no \.safetensors file"),
        (str(tmp_path / "pickle.bin"), r"LoRA it: .*pickle\.bin is no \.safetensors file"),
    ]:
        with pytest.raises(ModelLoadError, match=advice):
            make_sdxl(loras=[{"name": "it", "file": file}])
