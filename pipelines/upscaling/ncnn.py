"""Reads networks in ncnn's format: a ``.param`` lists the layers, a ``.bin`` holds their numbers.

https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.errors import ModelLoadError

_MAGIC = "7767517"
_WIRING = ("Input", "Split", "Concat")
"""Layers that only say what is connected to what."""
_FLOAT16, _FLOAT32 = 0x01306B47, 0
"""The tags in front of a convolution's weights; others stand for quantised ones."""
_ARRAY = 23300
"""Settings that are arrays have the number ``-23300 - n``, and begin with their length."""

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Layer:
    """One line of a ``.param``: what is computed, without its place in the graph."""

    kind: str
    settings: Mapping[int, tuple[float, ...]]

    def __str__(self) -> str:
        values = (
            f"{number}={','.join(f'{value:g}' for value in each)}" for number, each in self.settings.items()
        )
        return " ".join([self.kind, *values])


def convolution(inputs: int, outputs: int, leaky_slope: float | None = None) -> Layer:
    """Describe a convolution of 3 x 3, with a leaky ReLU behind it where its slope is given."""
    settings: dict[int, tuple[float, ...]] = {0: (outputs,), 1: (3,), 4: (1,), 5: (1,)}
    settings[6] = (inputs * outputs * 9,)
    if leaky_slope is not None:
        settings |= {9: (2,), 10: (leaky_slope,)}
    return Layer("Convolution", settings)


def read_layers(file: Path) -> list[Layer]:
    """Read the layers that compute something, in the order in which they run.

    Raises:
        ModelLoadError: it is missing, or no such list.
    """
    try:
        magic, _, *lines = file.read_text(encoding="ascii").splitlines()
        layers = [_parsed(line) for line in lines if line.strip()]
    except OSError as error:
        raise ModelLoadError(f"{file} cannot be read ({error.strerror}). Check 'source'.") from error
    except (ValueError, LookupError) as error:
        raise ModelLoadError(f"{file} is not a network in ncnn's format. Check 'source'.") from error
    if magic.strip() != _MAGIC:
        raise ModelLoadError(f"{file} is not a network in ncnn's text format. Check 'source'.")
    return [layer for layer in layers if layer.kind not in _WIRING]


def read_arrays(file: Path, layers: Iterable[Layer]) -> list[FloatArray]:
    """Read the numbers of the layers, flat: of convolutions weights and biases, of PReLUs the slopes.

    Raises:
        ModelLoadError: it is missing, or has not the size that the layers need.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelLoadError(f"{file} cannot be read ({error.strerror}). Check 'source'.") from error
    reader = _Reader(file, data)
    arrays = [array for layer in layers for array in reader.arrays(layer)]
    reader.check_end()
    return arrays


def _parsed(line: str) -> Layer:
    """Parse ``kind name inputs outputs [blobs] [number=value]``."""
    kind, _, inputs, outputs, *rest = line.split()
    settings = {}
    for word in rest[int(inputs) + int(outputs) :]:
        number, _, value = word.partition("=")
        values = tuple(float(part) for part in value.split(","))
        if int(number) <= -_ARRAY:
            settings[-int(number) - _ARRAY] = values[1:]
        else:
            settings[int(number)] = values
    return Layer(kind, settings)


class _Reader:
    """Takes arrays from a ``.bin``, one after the other."""

    def __init__(self, file: Path, data: bytes) -> None:
        self._file = file
        self._data = data
        self._offset = 0

    def arrays(self, layer: Layer) -> Iterator[FloatArray]:
        if layer.kind == "Convolution":
            yield self._tagged(int(layer.settings[6][0]))
            yield self._take(int(layer.settings[0][0]), "<f4")
        elif layer.kind == "PReLU":
            yield self._take(int(layer.settings[0][0]), "<f4")

    def check_end(self) -> None:
        if self._offset != len(self._data):
            raise self._wrong("has more bytes")

    def _tagged(self, count: int) -> FloatArray:
        tag = int(self._take(1, "<u4")[0])
        if tag not in (_FLOAT16, _FLOAT32):
            raise self._wrong(f"has weights of an unknown kind (tag {tag:#x})")
        array = self._take(count, "<f2" if tag == _FLOAT16 else "<f4")
        self._offset = -(-self._offset // 4) * 4
        return array

    def _take(self, count: int, dtype: str) -> FloatArray:
        size_bytes = count * np.dtype(dtype).itemsize
        if self._offset + size_bytes > len(self._data):
            raise self._wrong("ends too early")
        array: FloatArray = np.frombuffer(self._data, dtype, count, self._offset)
        self._offset += size_bytes
        return array

    def _wrong(self, what: str) -> ModelLoadError:
        return ModelLoadError(
            f"{self._file} {what}: {len(self._data):,} bytes do not fit its .param. Fetch it anew."
        )
