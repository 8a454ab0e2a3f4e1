"""What /metrics says, in Prometheus's format."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Measured = dict[str, tuple[str, Callable[[], float]]]  # what it says and how it is measured, by name
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # bounds of the histogram


class Figures:
    """Counters of one server.

    Attributes:
        requests: by path and status.
        seconds: from a request to its answer, by path.
    """

    def __init__(self, gauges: Measured, counters: Measured) -> None:
        """Start at nothing; further ones, which rise and fall or only rise, are measured when asked for."""
        self._registry = CollectorRegistry()
        self._registry.register(_Counters(counters))
        self.requests = Counter(
            "arbiscale_requests", "Requests answered", ["path", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "arbiscale_request_seconds",
            "From a request to its answer",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        memory = {"resident_bytes": ("Memory in use", lambda: float(psutil.Process().memory_info().rss))}
        for name, (says, measure) in (gauges | memory).items():
            Gauge(f"arbiscale_{name}", says, registry=self._registry).set_function(measure)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self._registry)


class _Counters(Collector):
    """Numbers that only rise, of what counts them itself."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What they are now."""
        for name, (says, measure) in self._measured.items():
            yield CounterMetricFamily(f"arbiscale_{name}", says, measure())


class CountRequests:
    """Counts an application's requests by route and status, and measures how long they take."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self.app, self.figures = app, figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            # Not the path itself: clients may make up any number of them.
            path = getattr(scope.get("route"), "path", "none")
            self.figures.requests.labels(path, status).inc()
            self.figures.seconds.labels(path).observe(time.monotonic() - began)
