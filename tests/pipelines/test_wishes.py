import time
from contextlib import suppress

import pytest

from pipelines.errors import InvalidInput
from pipelines.seeing.wishes import Wish, wish_of

UNDERSTOOD: dict[Wish, list[str | None]] = {
    Wish.CAPTION: [
        None,
        "",
        " \n",
        "<CAPTION>",
        "<caption>",
        "Caption",
        "Describe this picture.",
        "Write an alt text, please",
        "What does the image describe?",
        "What's in this picture?",
        "what do you see here",
        "Tell me about this photo",
        "Describe the picture and read its text",
        "Write a text that describes the objects in 10 words.",
    ],
    Wish.DETAILED_CAPTION: [
        "<DETAILED_CAPTION>",
        "detailed caption",
        "detailed",
        "Describe in detail what is shown in the image.",
        "Give me a thorough description.",
    ],
    Wish.MORE_DETAILED_CAPTION: [
        "<MORE_DETAILED_CAPTION>",
        " <More_Detailed_Caption> ",
        "more detailed caption",
        "more_detailed_caption",
        "Describe with a paragraph what is shown in the image.",
    ],
    Wish.TEXT: [
        "<OCR>",
        "OCR",
        "ocr.",
        "text",
        "Read the text",
        "What is written there?",
        "what does the sign say? It says something",
        "Transcribe this",
        "What is the text in the image?",
    ],
    Wish.TEXT_WITH_REGIONS: [
        "<OCR_WITH_REGION>",
        "ocr_with_region",
        "OCR with boxes",
        "What is the text in the image, with regions?",
        "where is which text",
    ],
    Wish.OBJECTS: [
        "<OD>",
        "od",
        "tags",
        "Tag",
        "labels",
        "detect",
        "object detection",
        "What objects are in the image?",
        "Locate the objects with category name in the image.",
        "keywords",
        "classify it",
    ],
}


@pytest.mark.parametrize(
    ("prompt", "wish"), [(prompt, wish) for wish, prompts in UNDERSTOOD.items() for prompt in prompts]
)
def test_a_prompt_says_what_is_wanted(prompt: str | None, wish: Wish) -> None:
    assert wish_of(prompt) is wish


@pytest.mark.parametrize(
    "prompt", ["How many dogs are there?", "<REGION_PROPOSAL>", "Wie spät?", "!", "x" * 9_000]
)
def test_a_question_that_was_not_understood_gets_no_other_answer(prompt: str) -> None:
    with pytest.raises(
        InvalidInput, match=r'"detailed caption".*"ocr".*"tags".*<OCR_WITH_REGION>'
    ) as refusal:
        wish_of(prompt)
    assert refusal.value.field == "prompt"


@pytest.mark.parametrize("words", ["what ", "the text ", "object", "more ", "<OD>"])
def test_long_prompts_take_no_time(words: str) -> None:
    started = time.process_time()
    with suppress(InvalidInput):
        wish_of(words * (10_000 // len(words)))
    assert time.process_time() - started < 0.1
