import pytest
from PIL import Image

from pipelines.training.exam import PLAIN, REWORDED, UNSEEN, ground_of, questions
from pipelines.training.objects import OBJECTS
from pipelines.training.scenes import GROUNDS, held_out


def test_the_exam_has_200_prompts_of_three_kinds() -> None:
    asked = questions()
    assert len(asked) == 200
    assert len({question.prompt for question in asked}) == 200
    kinds = [question.kind for question in asked]
    assert (kinds.count(PLAIN), kinds.count(UNSEEN), kinds.count(REWORDED)) == (len(OBJECTS), 50, 30)


def test_its_pairs_of_object_and_ground_were_never_trained() -> None:
    import numpy as np

    for question in questions():
        if question.kind == UNSEEN:
            assert held_out(np.array(question.thing), np.array(question.ground))
            assert list(GROUNDS)[question.ground] in question.prompt


@pytest.mark.parametrize("light", [0.85, 1.0])
def test_a_ground_is_named_in_any_light_and_whatever_stands_on_it(light: float) -> None:
    for index, colour in enumerate(GROUNDS.values()):
        lit = tuple(int(value * light) for value in colour)
        picture = Image.new("RGB", (512, 512), lit)
        picture.paste((200, 30, 30), (100, 100, 412, 412))
        assert ground_of(picture) == index
