from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from pipelines.errors import Cancelled, InvalidInput, ModelLoadError
from pipelines.loading import load_pipeline
from pipelines.sentence_encoder import SentenceEncoderOptions, SentenceEncoderPipeline
from pipelines.tasks.embedding import EMBEDDING, EmbeddingRequest, EmbeddingResult
from tests.fakes import FolderWorkspace
from tests.pipelines.conftest import ENGINE, WeightsOf

TEXTS = (
    "The cat sleeps on the sofa.",
    "A kitten is napping on the couch.",
    "Interest rates rose by a quarter point.",
    "",
    "日本語のテキスト \N{GRINNING FACE}",
    "word " * 100,
)


@pytest.fixture(scope="module")
def encoder(weights_of: WeightsOf) -> SentenceEncoderPipeline:
    return SentenceEncoderPipeline(weights_of("all-minilm-l6-v2"), SentenceEncoderOptions(batch=2), ENGINE)


def embed(
    encoder: SentenceEncoderPipeline, workspace: FolderWorkspace, *texts: str, dimensions: int | None = None
) -> EmbeddingResult:
    return EMBEDDING.run(encoder, EmbeddingRequest(inputs=texts, dimensions=dimensions), workspace)


def test_gives_the_vectors_of_the_bare_library(
    encoder: SentenceEncoderPipeline, workspace: FolderWorkspace, weights_of: WeightsOf
) -> None:
    folder = weights_of("all-minilm-l6-v2")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    expected = []
    for text in TEXTS:
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        expected.append((states.mean(0) / states.mean(0).norm()).numpy())
    result = embed(encoder, workspace, *TEXTS)
    assert np.allclose(result.vectors, expected, atol=1e-5)
    assert result.usage.prompt_tokens == sum(len(tokenizer(text).input_ids) for text in TEXTS)


def test_what_means_the_same_is_near(encoder: SentenceEncoderPipeline, workspace: FolderWorkspace) -> None:
    cat, kitten, rates = map(np.array, embed(encoder, workspace, *TEXTS[:3]).vectors)
    assert cat @ kitten > 0.5 > 0.2 > cat @ rates
    assert np.allclose([cat @ cat, rates @ rates], 1.0)


def test_a_text_that_is_too_long_is_refused_with_the_numbers(
    encoder: SentenceEncoderPipeline, workspace: FolderWorkspace
) -> None:
    with pytest.raises(InvalidInput, match="Text 1 has 302 tokens; this model reads 256 tokens") as refusal:
        embed(encoder, workspace, "short", "word " * 300)
    assert refusal.value.field == "inputs"
    with pytest.raises(InvalidInput, match="Text 0 has 1000000 characters; this model reads 256 tokens"):
        embed(encoder, workspace, "a" * 1_000_000)


def test_of_a_text_that_is_too_long_the_beginning_is_read_where_that_is_wanted(
    workspace: FolderWorkspace, weights_of: WeightsOf
) -> None:
    options = {"truncate": True, "max_tokens": 8}
    folder = weights_of("all-minilm-l6-v2")
    encoder = load_pipeline(
        "pipelines.sentence_encoder:SentenceEncoderPipeline", ["embedding"], folder, options, ENGINE
    )
    result = embed(
        encoder, workspace, "one two three four five six seven " * 1000, "one two three four five six"
    )
    assert np.allclose(result.vectors[0], result.vectors[1], atol=1e-5)
    assert result.usage.prompt_tokens == 16


def test_other_dimensions_are_refused(encoder: SentenceEncoderPipeline, workspace: FolderWorkspace) -> None:
    assert len(embed(encoder, workspace, "Hello.", dimensions=384).vectors[0]) == 384
    with pytest.raises(InvalidInput, match="have 384 dimensions") as refusal:
        embed(encoder, workspace, "Hello.", dimensions=256)
    assert refusal.value.field == "dimensions"


def test_tokens_are_refused_because_they_would_be_those_of_another_model(
    encoder: SentenceEncoderPipeline, workspace: FolderWorkspace
) -> None:
    with pytest.raises(InvalidInput, match="Send texts") as refusal:
        EMBEDDING.run(encoder, EmbeddingRequest(inputs=((1, 2, 3),)), workspace)
    assert refusal.value.field == "inputs"


def test_stops_between_batches(encoder: SentenceEncoderPipeline, workspace: FolderWorkspace) -> None:
    workspace.cancel()
    with pytest.raises(Cancelled):
        embed(encoder, workspace, "Hello.")


def test_an_incomplete_folder_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelLoadError, match=r"missing: tokenizer\.json, model\.safetensors"):
        SentenceEncoderPipeline(tmp_path, SentenceEncoderOptions(), ENGINE)
    with pytest.raises(ModelLoadError, match="no source"):
        SentenceEncoderPipeline(None, SentenceEncoderOptions(), ENGINE)
