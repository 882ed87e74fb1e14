import numpy as np

from pipelines.training.captions import describe, with_article
from pipelines.training.objects import OBJECTS
from pipelines.training.scenes import CLOSE_UPS, GROUNDS, PLACES, TINTS, held_out, sample


def test_there_are_more_than_a_hundred_objects_with_names_of_their_own() -> None:
    assert len(OBJECTS) >= 100
    names = [name for thing in OBJECTS for name in thing.names]
    assert len(names) == len(set(names))


def test_captions_say_what_is_on_the_picture() -> None:
    rng = np.random.default_rng(1)
    scenes = sample(rng, 2000)
    captions = describe(scenes, rng)
    for index, caption in enumerate(text.lower() for text in captions):
        assert any(name.lower() in caption for name in OBJECTS[scenes.thing[index]].names), caption
        ground = list(GROUNDS)[scenes.ground[index]]
        synonyms = {"gray": "grey", "purple": "violet", "cyan": "turquoise", "pink": "rosa"}
        assert (
            ground == "white"
            or ground in caption
            or synonyms.get(ground, ground) in caption
            or "teal" in caption
        )
        assert ("close-up" in caption or "close up" in caption) == bool(scenes.close_up[index])
    assert len(set(captions)) > 1900


def test_a_tenth_of_the_pairs_is_never_trained() -> None:
    things, grounds = np.meshgrid(np.arange(len(OBJECTS)), np.arange(len(GROUNDS)), indexing="ij")
    kept = held_out(things, grounds)
    assert 0.07 < kept.mean() < 0.12
    assert not kept[:, 0].any()
    scenes = sample(np.random.default_rng(2), 20_000)
    assert not held_out(scenes.thing, scenes.ground).any()
    assert scenes.place.max() == PLACES - 1
    assert scenes.place.min() == 0
    assert 0.05 < scenes.close_up.mean() < 0.15
    assert set(scenes.tint) == set(range(-1, len(TINTS)))
    assert CLOSE_UPS < PLACES


def test_articles() -> None:
    assert [
        with_article(name) for name in ("apple", "cat", "unicorn", "ufo", "glasses", "pair of glasses")
    ] == [
        "an apple",
        "a cat",
        "a unicorn",
        "a ufo",
        "glasses",
        "a pair of glasses",
    ]
