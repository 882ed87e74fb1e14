"""The vocabulary of a GGUF file: text to tokens, such that no text of a caller's becomes a control token."""

import re
from functools import lru_cache

from cyllama.llama.llama_cpp import LlamaVocab

_SEAM = "\ufdd0"
"""Splits a control token's name in a caller's text. Unicode promises that it is no character."""
_UNKNOWN = "\ufffd"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class Vocabulary:
    """What the tokens of a model mean; threads may share it."""

    def __init__(self, vocab: LlamaVocab) -> None:
        self._vocab = vocab
        self.size: int = vocab.n_vocab
        names = [vocab.get_text(token) for token in range(self.size) if vocab.is_control(token)]
        # Each place where a name begins, also inside another one, is looked at: nothing is consumed.
        alternatives = "|".join(re.escape(name) for name in names if len(name) > 1)
        self._control = re.compile(f"(?=(?:{alternatives}))" if alternatives else r"(?!)")

    def harmless(self, text: str) -> str:
        """Put a seam into each control token's name in a caller's text; `tokens` cuts there."""
        text = text.replace(_SEAM, "").encode("utf-8", "replace").decode()
        cuts = [match.start() + 1 for match in self._control.finditer(text)]
        return _SEAM.join(text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True))

    def tokens(self, prompt: str) -> list[int]:
        """Read a rendered prompt; what the template wrote may be control tokens."""
        begins_itself = prompt.startswith(self.text(self._vocab.token_bos()) or _SEAM)
        first, *rest = prompt.split(_SEAM)
        tokens: list[int] = self._vocab.tokenize(first, not begins_itself, True)
        for piece in rest:
            tokens += self._vocab.tokenize(piece, False, True)
        return tokens

    def text(self, token: int) -> str:
        """Give a token as a template writes it; nothing where the model has no such token."""
        return str(self._vocab.token_to_piece(token, special=True)) if token >= 0 else ""

    @property
    def begin(self) -> str:
        """The token that begins a text."""
        return self.text(self._vocab.token_bos())

    @property
    def end(self) -> str:
        """The token that ends a text."""
        return self.text(self._vocab.token_eos())

    def is_end(self, token: int) -> bool:
        """Whether the model says with it that it has finished."""
        return bool(self._vocab.is_eog(token))

    def bytes_of(self, token: int) -> bytes:
        """Give what a token says: perhaps only a part of a character; control tokens say nothing."""
        piece = str(self._vocab.token_to_piece(token, special=False))
        if _UNKNOWN not in piece:
            return piece.encode()
        # The library reads the bytes as UTF-8 and loses what is not whole; the raw entry still has them.
        entry = str(self._vocab.get_text(token))
        byte = _BYTE_TOKEN.fullmatch(entry)
        if byte:
            return bytes([int(byte[1], 16)])
        letters = _byte_letters()
        return bytes(letters[letter] for letter in entry if letter in letters)


@lru_cache(maxsize=1)
def _byte_letters() -> dict[str, int]:
    """Give the letter by which byte-level vocabularies (GPT-2's and all after it) write each byte."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}
