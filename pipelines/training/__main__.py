"""Train everything: `python -m pipelines.training data/training`; steps by name: `… data/training sdxl`."""

import argparse
import os
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
    """Run the steps that are asked for, in this order; each goes on where it was stopped."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.training", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where everything lies, e.g. data/training")
    parser.add_argument("steps", nargs="*", metavar="step", help=f"{', '.join(STEPS)}; all if none is named")
    arguments = parser.parse_args()
    if unknown := set(arguments.steps) - set(STEPS):
        parser.error(f"there is no step {', '.join(sorted(unknown))}")
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    # Measured: a second thread makes a step slower. Run two steps side by side instead.
    torch.set_num_threads(1)
    for name in STEPS:
        if name in arguments.steps or not arguments.steps:
            STEPS[name](Workshop(folder))


if __name__ == "__main__":
    main()
