"""What the pictures of one batch have in common."""

from dataclasses import dataclass
from typing import Literal

from pipelines.images import Size

Kind = Literal["text", "image", "mask"]
LONGEST_TOLD = 7_000
"""Characters of a prompt that a file tells: JPEG holds 65,533 bytes, a character takes up to four."""


@dataclass(frozen=True)
class Plan:
    """Everything that the pictures of one batch have in common."""

    kind: Kind
    size: Size
    steps: int
    guidance: float
    scheduler: str | None
    denoise: float
    loras: tuple[tuple[str, float], ...]
    windows: int = 1
    """Of the text encoder, that the prompts take; empty ones behind a prompt would change its picture."""

    def parameters(self, prompt: str, negative_prompt: str, seed: int, model: str) -> str:
        """Say how a picture was made, as the tools of the field write it."""
        lines = [_shortened(prompt)]
        if negative_prompt:
            lines.append(f"Negative prompt: {_shortened(negative_prompt)}")
        facts = {
            "Steps": self.steps,
            "Sampler": self.scheduler,
            "CFG scale": f"{self.guidance:g}",
            "Seed": seed,
            "Size": f"{self.size[0]}x{self.size[1]}",
            "Model": model,
            "Denoising strength": None if self.kind == "text" else f"{self.denoise:g}",
            "Loras": " ".join(f"{name}:{weight:g}" for name, weight in self.loras),
        }
        lines.append(
            ", ".join(f"{name}: {value}" for name, value in facts.items() if value not in (None, ""))
        )
        return "\n".join(lines)


def _shortened(prompt: str) -> str:
    return prompt if len(prompt) <= LONGEST_TOLD else prompt[:LONGEST_TOLD] + "\N{HORIZONTAL ELLIPSIS}"
