import itertools
from pathlib import Path

import pytest
import yaml

from configs.load import ConfigError, load_config
from configs.vllm import VllmOptions

MODEL = {"id": "m", "tasks": ["speech-to-text"], "pipeline": "pipelines.whisper:WhisperPipeline"}


def write(folder: Path, args: object, **top: object) -> Path:
    path = folder / "serve.yaml"
    path.write_text(yaml.safe_dump({"applications": [{"name": "x", "args": args}], **top}))
    return path


def error_of(folder: Path, args: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, args))
    return str(caught.value)


@pytest.mark.parametrize("name", ["serve_config.yaml", "configs/single-gpu.yaml"])
def test_the_profiles_that_ship_are_valid(name: str) -> None:
    config = load_config(Path(__file__).parents[2] / name)
    assert config.application.name == "ai-server"
    assert config.args.models


def test_an_unknown_key_is_named_with_its_place(tmp_path: Path) -> None:
    error = error_of(tmp_path, {"models": [{**MODEL, "resources": {"num_cpu": 1}}]})
    assert "applications[0].args.models[0].resources.num_cpu" in error
    assert "Extra inputs are not permitted" in error


def test_a_wrong_type_is_named_with_its_place(tmp_path: Path) -> None:
    error = error_of(tmp_path, {"limits": {"upload_bytes": "lots"}})
    assert "applications[0].args.limits.upload_bytes" in error


def test_a_fault_inside_a_source_is_named_as_the_file_spells_it(tmp_path: Path) -> None:
    error = error_of(tmp_path, {"models": [{**MODEL, "source": [{"hub": "a/b"}]}]})
    assert "models[0].source[0].revision: Field required" in error


def test_a_source_of_no_kind_says_which_kinds_there_are(tmp_path: Path) -> None:
    error = error_of(tmp_path, {"models": [{**MODEL, "source": [{"url": "x"}]}]})
    assert "models[0].source[0]: a source has one of the keys 'folder', 'package' or 'hub'" in error


def test_a_name_used_twice_is_refused(tmp_path: Path) -> None:
    error = error_of(tmp_path, {"models": [MODEL, {**MODEL, "id": "n", "aliases": ["M"]}]})
    assert "used more often: m" in error


def test_more_replicas_at_least_than_at_most_is_refused(tmp_path: Path) -> None:
    error = error_of(tmp_path, {"models": [{**MODEL, "autoscaling": {"min_replicas": 3, "max_replicas": 2}}]})
    assert "min_replicas must not be above max_replicas" in error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("applications: [", "not valid YAML"),
        ("- 1", "must hold a mapping"),
        ("applications: []", "applications"),
        ("applications: [{}]\nhttp_options: []", "http_options"),
        ("applications: [{}]\nhttp_option: {}", "http_option: Extra inputs"),
    ],
)
def test_a_file_that_is_no_configuration_says_so(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "absent.yaml")


def test_the_address_comes_from_the_file_and_can_be_replaced(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, {}, http_options={"host": "0.0.0.0", "port": 9000}))
    assert config.url == "http://127.0.0.1:9000"
    assert config.listening_on(None, 9001).url == "http://127.0.0.1:9001"


VLLM = {"id": "q", "tasks": ["chat"], "engine": "vllm", "options": {"model_source": "a/b"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pipeline": "a:B"}, "a 'pipeline' or an 'engine', not both"),
        ({"source": [{"folder": "x"}]}, "engine: vllm loads what 'options.model_source' names"),
        ({"engine": "tgi"}, "models[0].engine: Input should be 'vllm'"),
        ({"engine": None}, "a model needs a 'pipeline', an 'engine' or somebody 'external'"),
    ],
)
def test_an_engine_stands_instead_of_a_pipeline(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    assert load_config(write(tmp_path, {"models": [VLLM]})).args.native_models
    assert message in error_of(tmp_path, {"models": [{**VLLM, **changes}]})


def test_the_example_of_vllm_in_the_gpu_profile_is_valid(tmp_path: Path) -> None:
    profile = (Path(__file__).parents[2] / "configs/single-gpu.yaml").read_text()
    _, _, example = profile.partition("# - id: qwen2.5-7b\n")
    lines = itertools.takewhile(lambda line: line.startswith("        # "), example.splitlines())
    text = "\n".join(["- id: qwen2.5-7b", *(line.removeprefix("        # ") for line in lines)])
    [model] = load_config(write(tmp_path, {"models": yaml.safe_load(text)})).args.models
    assert VllmOptions.model_validate(model.options).model_source == "Qwen/Qwen2.5-7B-Instruct"


def test_both_profiles_have_the_same_providers() -> None:
    names = ("serve_config.yaml", "configs/single-gpu.yaml")
    one, other = (load_config(Path(__file__).parents[2] / name).args.providers for name in names)
    assert one == other
    assert {"openai", "anthropic", "google", "replicate"} <= {provider.id for provider in one}


def test_a_list_in_a_file_may_stand_beside_entries(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("- {id: here, base_url: 'http://here/v1'}")
    there = {"id": "there", "base_url": "http://there/v1"}
    config = load_config(write(tmp_path, {"providers": [str(mine), there]}))
    assert [provider.id for provider in config.args.providers] == ["here", "there"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "absent.yaml: No such file"),
        ("{", "mine.yaml: not valid YAML"),
        ("id: x", "mine.yaml: the file must hold a list"),
        ("- {id: x, base: y}", "providers[0].base: Extra inputs"),
    ],
)
def test_a_list_that_cannot_be_read_says_so(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / ("mine.yaml" if text else "absent.yaml")
    if text:
        path.write_text(text)
    assert message in error_of(tmp_path, {"providers": [str(path)]})


def test_providers_that_are_no_list_are_refused(tmp_path: Path) -> None:
    assert "providers: Input should be a valid tuple" in error_of(tmp_path, {"providers": "configs/x.yaml"})
