"""LoRAs: small changes to a checkpoint's weights that requests switch on by name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from pipelines.diffusion.options import LoraOption
from pipelines.errors import InvalidInput, ModelLoadError

Chosen = tuple[tuple[str, float], ...]
"""Names and weights."""


class Loras:
    """The LoRAs of one checkpoint, loaded beside its weights."""

    def __init__(self, pipe: Any, options: Sequence[LoraOption], folder: Path | None) -> None:
        """Load them.

        Raises:
            ModelLoadError: one is missing or does not fit the model.
        """
        self._pipe = pipe
        self._options = {option.name: option for option in options}
        # As peft calls them, whose names may not have dots.
        self._adapters = {option.name: f"lora_{number}" for number, option in enumerate(options)}
        self._in_use: Chosen = ()
        for option in options:
            file = (folder or Path()) / Path(option.file).expanduser()
            _load(pipe, option.name, self._adapters[option.name], file)
        if options:
            pipe.disable_lora()

    def chosen(self, wanted: Sequence[str]) -> Chosen:
        """Give the LoRAs of a request: those that are always on, and those that it names.

        Raises:
            InvalidInput: it names one that there is not, or gives a weight that is no number.
        """
        weights = {name: option.weight for name, option in self._options.items() if option.always}
        for item in wanted:
            name, _, weight = item.partition(":")
            if name not in self._options:
                known = ", ".join(self._options) or "none"
                raise InvalidInput(f"There is no LoRA {name!r}. This model has: {known}.", "loras")
            weights[name] = _weight(item, weight) if weight else self._options[name].weight
        return tuple(sorted(weights.items()))

    def use(self, chosen: Chosen) -> None:
        """Switch on exactly these."""
        if chosen == self._in_use:
            return
        if chosen:
            names = [self._adapters[name] for name, _ in chosen]
            self._pipe.set_adapters(names, [weight for _, weight in chosen])
            self._pipe.enable_lora()
        else:
            self._pipe.disable_lora()
        self._in_use = chosen


def _weight(item: str, text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = float("nan")
    if not -4 <= weight <= 4:
        raise InvalidInput(f"The weight in {item!r} must be a number from -4 to 4.", "loras")
    return weight


def _load(pipe: Any, name: str, adapter: str, file: Path) -> None:
    if not file.is_file() or file.suffix != ".safetensors":
        raise ModelLoadError(f"LoRA {name}: {file} is no .safetensors file. Check 'loras'.")
    try:
        pipe.load_lora_weights(file.parent, weight_name=file.name, adapter_name=adapter)
    except (ValueError, RuntimeError, KeyError, OSError, SafetensorError) as error:
        raise ModelLoadError(f"LoRA {name} does not fit the model: {error}") from error
    if not any(adapter in adapters for adapters in pipe.get_list_adapters().values()):
        raise ModelLoadError(f"LoRA {name} does not fit the model: {file} changes none of its layers.")
