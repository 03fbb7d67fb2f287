"""What the server tells of itself: a line for each request, and metrics. Neither holds a text, an id of the memory's,
or a secret: a request is told by its route and the name of its token.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentmem.memory import Memory
from agentmem.server.guard import TOKEN
from agentmem.store.files import KEPT

logger = logging.getLogger("agentmem.server")
ROUTE = "agentmem.route"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Counts of one server, of its process, and sizes of its memory."""

    def __init__(self, memory: Memory) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Sizes(memory))
        ProcessCollector(registry=self.registry)
        said = ["method", "route", "status"]
        self.requests = Counter("agentmem_requests", "Requests answered.", said, registry=self.registry)
        self.seconds = Histogram(
            "agentmem_request_seconds", "Of a request.", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.open = Gauge("agentmem_requests_open", "Requests being answered.", registry=self.registry)
        self.steps = Counter("agentmem_steps_logged", "Steps acknowledged, retries among them.", registry=self.registry)

    def text(self) -> bytes:
        """In Prometheus' text form."""
        return generate_latest(self.registry)


class _Sizes(Collector):
    """Of the memory's files, and its log, when they are asked for."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def collect(self) -> Iterator[GaugeMetricFamily]:
        files = [self.memory._core.store.path + end for end in ("", *KEPT)]
        n_bytes = sum(os.path.getsize(file) for file in files if os.path.exists(file))
        yield GaugeMetricFamily("agentmem_file_bytes", "Of all files of the memory but -shm.", n_bytes)
        yield GaugeMetricFamily("agentmem_log_position", "The end of the log.", self.memory.head().position)


class Watch:
    """Counts and logs what passes; outermost, so that it sees what was refused too."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        status, began = 0, time.perf_counter()

        async def told(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        self.metrics.open.inc()
        try:
            await self.app(scope, receive, told)
        finally:
            self.metrics.open.dec()
            self._tell(scope, status, time.perf_counter() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
        route, token = scope.get(ROUTE, "other"), scope.get(TOKEN)
        self.metrics.requests.labels(method, route, status).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        logger.info("%s %s %d %.1f ms token %s", method, route, status, seconds * 1000, token.id if token else "-")
