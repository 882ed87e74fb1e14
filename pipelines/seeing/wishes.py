"""What somebody wants to know of a picture, read from a prompt in plain words or Florence-2's tokens.

==========================  =======================================================================
wish                        prompts (in any case; the first line that fits counts)
==========================  =======================================================================
the six tokens themselves   ``<CAPTION>``, ``<OCR>``, ``<OD>`` ...
more detailed caption       "a more detailed caption", "describe it in a paragraph"
detailed caption            "describe the picture in detail", "detailed caption"
caption                     nothing at all, "caption", "describe this", "tell me about this photo"
text with regions           "ocr with regions", "read the text, with boxes"
text                        "ocr", "read the text", "what is written there?", "transcribe it"
objects                     "tags", "detect", "labels", "what objects are in the image?"
caption                     "what is this?", "what do you see in the picture?"
==========================  =======================================================================
"""

import re
from enum import StrEnum

from pipelines.errors import InvalidInput


class Wish(StrEnum):
    """The answers that a picture can be asked for; the values are Florence-2's tokens."""

    CAPTION = "<CAPTION>"
    DETAILED_CAPTION = "<DETAILED_CAPTION>"
    MORE_DETAILED_CAPTION = "<MORE_DETAILED_CAPTION>"
    TEXT = "<OCR>"
    TEXT_WITH_REGIONS = "<OCR_WITH_REGION>"
    OBJECTS = "<OD>"


CAPTIONS = (Wish.CAPTION, Wish.DETAILED_CAPTION, Wish.MORE_DETAILED_CAPTION)
TEXTS = (Wish.TEXT, Wish.TEXT_WITH_REGIONS)

_HINTS = {
    "describe": r"\bcaption|\bdescri|\balt text\b|\bsummar|\bexplain|\btell me about\b",
    "detail": r"\bdetail|\bthorough|\bin depth\b",
    "paragraph": r"\b(more|most|very|highly|extremely) detail|\bparagraph",
    "text": r"\bocr\b|\btexts?\b|\bread(s|ing)?\b|\bwritten\b|\bwriting\b|\btranscri|\bsays?\b|\bprinted\b",
    "places": r"\bregions?\b|\bbox(es)?\b|\bpositions?\b|\bcoordinates\b|\bwhere\b",
    "objects": r"\bod\b|\bobjects?\b|\bthings\b|\bitems\b|\bdetect|\btag(s|ging)?\b|\blabel(s|led)?\b"
    r"|\bkeywords?\b|\bclassif|\bcategor|\brecogni[sz]e|\bidentify|\blocate\b",
    "what": r"\bwhat\b",
    "this": r"\b(this|that|it|here|see|shown?|pictures?|images?|photo(graph)?s?)\b",
}
_PATTERNS = {hint: re.compile(pattern) for hint, pattern in _HINTS.items()}

_DECISIONS = (
    ({"describe", "paragraph"}, Wish.MORE_DETAILED_CAPTION),
    ({"describe", "detail"}, Wish.DETAILED_CAPTION),
    ({"describe"}, Wish.CAPTION),
    ({"text", "places"}, Wish.TEXT_WITH_REGIONS),
    ({"text"}, Wish.TEXT),
    ({"objects"}, Wish.OBJECTS),
    ({"paragraph"}, Wish.MORE_DETAILED_CAPTION),
    ({"detail"}, Wish.DETAILED_CAPTION),
    ({"what", "this"}, Wish.CAPTION),
)
"""The first whose hints were all found counts."""


def wish_of(prompt: str | None) -> Wish:
    """Understand what is wanted; without a prompt it is a caption.

    Raises:
        InvalidInput: none of it; a question that was not understood must not get another one's answer.
    """
    prompt = (prompt or "").strip()
    if not prompt:
        return Wish.CAPTION
    if prompt.upper() in list(Wish):
        return Wish(prompt.upper())
    words = re.sub(r"[\W_]+", " ", prompt.lower())
    hints = {hint for hint, pattern in _PATTERNS.items() if pattern.search(words)}
    for needed, wish in _DECISIONS:
        if needed <= hints:
            return wish
    raise InvalidInput(
        "This is not among the things that the model can be asked. Leave the prompt out for a caption, or "
        'give "caption", "detailed caption", "more detailed caption", "ocr", "ocr with regions" or "tags"; '
        f"Florence-2's tokens are understood too: {', '.join(Wish)}.",
        "prompt",
    )
