"""Counters and latency histograms per task, in Ray's own metrics."""

from collections.abc import Mapping
from typing import Any

from ray.serve import metrics
from ray.util.metrics import Counter, Gauge, Histogram

LATENCY_BOUNDARIES_MS: list[float] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000]


class QueueMetrics:
    """Exports ``ray_ai_server_jobs_waiting``, ``…_running`` and ``…_paused``; in any Ray process."""

    def __init__(self) -> None:
        """Register the metrics with Ray."""
        model: Any = ("model",)
        self._waiting = Gauge("ai_server_jobs_waiting", "Jobs in the queue.", tag_keys=model)
        self._running = Gauge("ai_server_jobs_running", "Jobs that run.", tag_keys=model)
        self._paused = Gauge("ai_server_jobs_paused", "1 while no job is begun, for want of room.")

    def show(self, *, waiting: Mapping[str, int], running: Mapping[str, int], paused: bool) -> None:
        """Set all of them; models are the same in both mappings."""
        for model, count in waiting.items():
            self._waiting.set(count, tags={"model": model})
            self._running.set(running.get(model, 0), tags={"model": model})
        self._paused.set(int(paused))


class JobMetrics:
    """Exports ``ray_ai_server_jobs_total`` and ``ray_ai_server_job_seconds``; in any Ray process.

    Tags: task, model, outcome (``ok`` or an error code); one count for each run.
    """

    def __init__(self) -> None:
        """Register the metrics with Ray."""
        tags: Any = ("task", "model", "outcome")
        self._runs = Counter("ai_server_jobs_total", "Runs of jobs that ended.", tag_keys=tags)
        bounds = [each / 1000 for each in LATENCY_BOUNDARIES_MS] + [300.0, 1200.0, 3600.0]
        self._seconds = Histogram("ai_server_job_seconds", "Duration of runs.", bounds, tag_keys=tags)

    def observe(self, *, task: str, model: str, outcome: str, seconds: float) -> None:
        """Record one run."""
        tags = {"task": task, "model": model, "outcome": outcome}
        self._runs.inc(tags=tags)
        self._seconds.observe(seconds, tags=tags)


class ProviderMetrics:
    """Exports what was asked of whom, and what it cost; in any Ray process.

    ``ray_ai_server_attempts_total`` and ``…_attempt_seconds_total`` (task, model, provider, outcome),
    ``…_tokens_total`` (model, provider, kind: ``prompt`` or ``completion``), ``…_cost_usd_total`` (model,
    provider). Ray's counters take a tenth of a millisecond each, so sums are exported, not attempts.
    """

    def __init__(self) -> None:
        """Register the metrics with Ray."""
        run: Any = ("task", "model", "provider", "outcome")
        served: Any = ("model", "provider")
        kind: Any = (*served, "kind")
        self._attempts = Counter("ai_server_attempts_total", "Requests to candidates.", tag_keys=run)
        self._seconds = Counter("ai_server_attempt_seconds_total", "Their duration.", tag_keys=run)
        self._tokens = Counter("ai_server_tokens_total", "Tokens of chats and embeddings.", tag_keys=kind)
        self._cost = Counter("ai_server_cost_usd_total", "By the configured prices.", tag_keys=served)
        self._sums: dict[tuple[Counter, tuple[tuple[str, str], ...]], float] = {}

    def add(
        self,
        *,
        task: str,
        model: str,
        provider: str,
        outcome: str,
        seconds: float,
        tokens: tuple[int, int],
        cost: float,
    ) -> None:
        """Count one attempt; `tokens` are those of the prompt and of the completion."""
        run = (("task", task), ("model", model), ("provider", provider), ("outcome", outcome))
        served = run[1:3]
        self._count(self._attempts, run, 1)
        self._count(self._seconds, run, seconds)
        self._count(self._tokens, (*served, ("kind", "prompt")), tokens[0])
        self._count(self._tokens, (*served, ("kind", "completion")), tokens[1])
        self._count(self._cost, served, cost)

    def export(self) -> None:
        """Give Ray what was counted since the last time."""
        sums, self._sums = self._sums, {}
        for (counter, tags), value in sums.items():
            counter.inc(value, tags=dict(tags))

    def _count(self, counter: Counter, tags: tuple[tuple[str, str], ...], value: float) -> None:
        if value > 0:
            self._sums[counter, tags] = self._sums.get((counter, tags), 0.0) + value


class ServeMetrics:
    """Exports ``ray_ai_server_requests_total`` and ``ray_ai_server_request_latency_ms``.

    Tags: task, model, outcome (``ok`` or an error code). Must be made inside a replica.
    """

    def __init__(self) -> None:
        """Register the metrics with Ray."""
        # Ray takes any tuple of names; its annotation says a tuple of one.
        tags: Any = ("task", "model", "outcome")
        self._requests = metrics.Counter("ai_server_requests_total", "Finished calls.", tag_keys=tags)
        self._latency = metrics.Histogram(
            "ai_server_request_latency_ms", "Duration of calls.", LATENCY_BOUNDARIES_MS, tag_keys=tags
        )

    def observe(self, *, task: str, model: str, outcome: str, seconds: float) -> None:
        """Record one finished call."""
        tags = {"task": task, "model": model, "outcome": outcome}
        self._requests.inc(tags=tags)
        self._latency.observe(seconds * 1000, tags=tags)
