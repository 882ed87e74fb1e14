"""Train everything: `python -m pipelines.training data/training`; steps by name: `… data/training sdxl`."""

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from pipelines.training import decoder, export, flux, judge, polish, sdxl, text
from pipelines.training.workshop import Workshop

STEPS = {
    "text": text.train,
    "decoder": decoder.train,
    "sdxl": sdxl.train,
    "flux": flux.train,
    "judge": judge.train,
    "polish": polish.train,
    "export": export.write,
}


def main() -> None:
    """Run the steps that are asked for, in their order; each goes on where it was stopped."""
    folder, wanted = Path(sys.argv[1]), sys.argv[2:] or list(STEPS)
    folder.mkdir(parents=True, exist_ok=True)
    # Measured: a second thread makes a step slower. Run two steps side by side instead.
    torch.set_num_threads(1)
    for name in wanted:
        STEPS[name](Workshop(folder))


if __name__ == "__main__":
    main()
