"""A program of its own: dies if llama.cpp can follow the grammar on its standard input, and lives if not.

Given a grammar that it cannot read, llama.cpp goes on without a word, and the first token that is chosen ends
the process. Here another process than the server's finds that out. The only sign is the wrong way round: told
that the text is over before it began, a good grammar ends the process, and a bad one does nothing.
"""

import resource
import sys

from cyllama.llama.llama_cpp import (
    LlamaModel,
    LlamaModelParams,
    LlamaSampler,
    LlamaSamplerChainParams,
    disable_logging,
)


def main(file: str, grammar: str) -> None:
    """Take the model's file, of which only the vocabulary is read."""
    disable_logging()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it is meant to end like this; leave nothing behind
    params = LlamaModelParams()
    params.n_gpu_layers, params.no_alloc, params.use_mmap = 0, True, False
    model = LlamaModel(path_model=file, params=params, verbose=False)
    chain = LlamaSampler(LlamaSamplerChainParams())
    chain.add_grammar(model.get_vocab(), grammar, "root")
    sys.stdout.write("read\n")
    sys.stdout.flush()
    chain.accept(model.get_vocab().token_eos())
    sys.stdout.write("refused\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin.read())
