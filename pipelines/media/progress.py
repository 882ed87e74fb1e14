"""What ``ffmpeg -progress`` writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a run of ffmpeg is."""

    done_s: float = 0.0
    """Of the result's length."""
    size_bytes: int = 0
    frames: int = 0


class ProgressReader:
    """Gathers ``name=value`` lines; a line ``progress=…`` ends each report."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self.latest = Progress()

    def feed(self, line: str) -> bool:
        """Take one line; tell whether it ended a report that differs from the one before."""
        name, _, value = line.partition("=")
        self._values[name.strip()] = value.strip()
        if name != "progress":
            return False
        before = self.latest
        self.latest = Progress(
            max(before.done_s, self._number("out_time_us") / 1_000_000),
            self._number("total_size"),
            self._number("frame"),
        )
        return self.latest != before

    def _number(self, name: str) -> int:
        try:
            return int(self._values.get(name, "0"))
        except ValueError:  # "N/A" before the first packet
            return 0
