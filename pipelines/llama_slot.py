"""A place in which one conversation is computed: llama.cpp's context, and what it still remembers."""

from collections.abc import Sequence

from cyllama.llama.llama_cpp import LlamaBatch, LlamaContext, LlamaContextParams, LlamaModel

from pipelines.errors import EngineError
from pipelines.tasks.base import Workspace

PIECE_TOKENS = 64
"""A prompt is read in pieces of this many, and whoever wants it to stop is heard between them."""


class Slot:
    """Computes one run at a time.

    Of a prompt that begins like the one before, the same pieces need not be read again. Only whole pieces are
    kept, so that the arithmetic, and with it the answer of a seed, does not depend on what came before.
    """

    def __init__(self, model: LlamaModel, context: int, threads: int) -> None:
        """Reserve the memory of `context` tokens."""
        params = LlamaContextParams()
        params.n_ctx = context
        params.n_batch = params.n_ubatch = PIECE_TOKENS
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        self.context = LlamaContext(model, params, verbose=False)
        self._batch = LlamaBatch(n_tokens=PIECE_TOKENS, embd=0, n_seq_max=1)
        self._kept: list[int] = []
        self._position = 0

    def num_kept(self, prompt: Sequence[int]) -> int:
        """Count the tokens of a prompt that need not be read again."""
        num_same = 0
        for kept, wanted in zip(self._kept, prompt[:-1], strict=False):
            if kept != wanted:
                break
            num_same += 1
        return num_same - num_same % PIECE_TOKENS

    def read(self, prompt: Sequence[int], workspace: Workspace) -> None:
        """Read a prompt but for its last token, which is the first for `step`."""
        self._position = self._forget(self.num_kept(prompt))
        while self._position < len(prompt) - 1:
            workspace.check_cancelled()
            piece = prompt[self._position : min(self._position + PIECE_TOKENS, len(prompt) - 1)]
            self._decode(piece)
            if len(piece) == PIECE_TOKENS:
                self._kept += piece

    def step(self, token: int) -> None:
        """Read one token more; the context then has the logits of the one after it."""
        self._decode([token])

    def _forget(self, start: int) -> int:
        """Forget what is after `start`; give how much is left: models with a running state keep nothing."""
        if not self.context.memory_seq_rm(0, start, -1):
            self.context.kv_cache_clear()
            start = 0
        del self._kept[start:]
        return start

    def _decode(self, tokens: Sequence[int]) -> None:
        self._batch.set_batch(list(tokens), self._position, False)
        try:
            self.context.decode(self._batch)
        except (ValueError, RuntimeError) as error:
            raise EngineError(f"llama.cpp could not compute {len(tokens)} tokens: {error}") from error
        self._position += len(tokens)
