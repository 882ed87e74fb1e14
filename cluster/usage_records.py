"""What is known of usage: one run's, and the sums of a day."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass
class Totals:
    """What was used, of one run or of many."""

    requests: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    images: int = 0
    audio_s: float = 0.0
    seconds: float = 0.0
    cost: float = 0.0
    """US dollars."""

    def add(self, other: "Totals") -> None:
        """Add another sum to this one."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @classmethod
    def sum_of(cls, several: "Iterable[Totals]") -> "Totals":
        """Add up."""
        total = cls()
        for each in several:
            total.add(each)
        return total


@dataclass(frozen=True)
class UsageEntry:
    """What one run used; a run that failed or was cancelled used what is known of it."""

    owner: str
    """Id of the API key."""
    task: str
    model: str
    provider: str
    totals: Totals


@dataclass(frozen=True, order=True)
class UsageKey:
    """What usage is told apart by; the order is that in which rows are written."""

    day: str
    """``YYYY-MM-DD``, UTC."""
    owner: str
    task: str
    model: str
    provider: str


@dataclass(frozen=True)
class UsageRow:
    """One row of a report."""

    key: UsageKey
    totals: Totals


def day_of(seconds: float) -> str:
    """Give the day (UTC) of a time since the epoch."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def month_of(seconds: float) -> str:
    """Give the month (UTC) of a time since the epoch: ``YYYY-MM``."""
    return day_of(seconds)[:7]


def days_of(month: str) -> tuple[str, str]:
    """Give bounds between which all days of a month lie, as texts are compared."""
    return f"{month}-01", f"{month}-31"
