"""The two tokenizers, trained on the captions and on the words that emoji are described with."""

from pathlib import Path

import numpy as np
from tokenizers import trainers
from transformers import CLIPTokenizer, T5Tokenizer

from pipelines.training import emoji
from pipelines.training.captions import describe
from pipelines.training.scenes import sample

UNKNOWN = "<unk>"
LENGTH = 32
"""Tokens of a prompt, the start and end marks included."""


def clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """Train byte-pair encoding in CLIP's own format, about 3,100 pieces: every usual word is one token."""
    plain = CLIPTokenizer(model_max_length=LENGTH)
    trainer_texts = _texts(folder)
    trained: CLIPTokenizer = plain.train_new_from_iterator(trainer_texts, vocab_size=3114)
    return trained


def t5_tokenizer(folder: Path) -> T5Tokenizer:
    """Train a unigram model in T5's own format, 2,500 pieces."""
    tokenizer = T5Tokenizer(extra_ids=0)
    trainer = trainers.UnigramTrainer(
        vocab_size=2500, special_tokens=["<pad>", "</s>", UNKNOWN], unk_token=UNKNOWN, show_progress=False
    )
    backend = tokenizer.backend_tokenizer
    backend.train_from_iterator(_texts(folder), trainer)
    return tokenizer


def _texts(folder: Path) -> list[str]:
    rng = np.random.default_rng(3)
    captions = describe(sample(rng, 20_000), rng)
    return captions + [word.lower() for word in emoji.words(folder)] * 2
