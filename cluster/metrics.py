"""Counters and latency histograms per task, in Ray's own metrics."""

from typing import Any

from ray.serve import metrics

LATENCY_BOUNDARIES_MS: list[float] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000]


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
