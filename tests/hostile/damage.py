"""Ways to spoil a file; the same random numbers give the same file."""

import re
from collections.abc import Callable
from random import Random
from typing import TypeAlias

from tests.hostile.seeds import everything

Damage: TypeAlias = Callable[[bytes, Random], bytes]

_HEAD_BYTES = 256
_WORD = re.compile(rb"[A-Za-z][A-Za-z0-9]{3}")
_EXTREMES = (0, 1, 7, 8, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def flipped(data: bytes, random: Random) -> bytes:
    """Flip a few bits, half of them in the header."""
    spoiled = bytearray(data)
    for _ in range(random.choice((1, 2, 4, 16, 64))):
        end = min(len(data), _HEAD_BYTES) if random.random() < 0.5 else len(data)
        spoiled[random.randrange(end)] ^= 1 << random.randrange(8)
    return bytes(spoiled)


def truncated(data: bytes, random: Random) -> bytes:
    """Lose the end."""
    return data[: int(len(data) * random.random())]


def grafted(data: bytes, random: Random) -> bytes:
    """Wear the first bytes of another format."""
    head = random.choice([*everything().values()])[: random.choice((4, 12, 32, 128, 512))]
    return head + data[random.choice((0, len(head))) :]


def resized(data: bytes, random: Random) -> bytes:
    """Lie about lengths and sizes, which stand before or after the four letters that name a block."""
    spoiled = bytearray(data)
    names = [found.start() for found in _WORD.finditer(data[:4096])]
    names += [found.start() + max(0, len(data) - 4096) for found in _WORD.finditer(data[-4096:])]
    for _ in range(random.choice((1, 1, 2, 4))):
        name = random.choice(names) if names and random.random() < 0.8 else random.randrange(len(data))
        start = max(0, name + random.choice((-8, -4, 4, 8, 12, 16, 20)))
        size = random.choice((2, 4, 8))
        value = random.choice((*_EXTREMES, random.getrandbits(32)))
        number = (value & (1 << 8 * size) - 1).to_bytes(size, random.choice(("big", "little")))
        spoiled[start : start + size] = number
    return bytes(spoiled)


DAMAGES: tuple[Damage, ...] = (flipped, truncated, grafted, resized)
