"""What /metrics says, in Prometheus's format."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # bounds of the histogram


class Figures:
    """Counters of one server.

    Attributes:
        requests: by path and status.
        seconds: from a request to its answer, by path.
    """

    def __init__(self, gauges: dict[str, tuple[str, Callable[[], float]]]) -> None:
        """Start at nothing; `gauges`: further ones, what they say and how they are measured."""
        self._registry = CollectorRegistry()
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
