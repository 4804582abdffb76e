"""What the worker tells about itself: Prometheus metrics, health and status, on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from streaming.worker import Worker

_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_COMMIT_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAG_EVERY_S = 0.02
_UNHEALTHY_COMMIT_S = 30.0


class WorkerMetrics(Collector):
    """Reads the worker when it is scraped, so that the hot path pays nothing."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.loop_lag = Histogram(
            "quant_loop_lag_seconds",
            "How late the event loop runs a timer",
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "quant_commit_seconds",
            "Duration of one lake commit",
            buckets=_COMMIT_BUCKETS,
            registry=self.registry,
        )

    async def watch_loop(self) -> None:
        """Measure the event loop's lag until cancelled."""
        while True:
            started = time.perf_counter()
            await asyncio.sleep(_LAG_EVERY_S)
            self.loop_lag.observe(max(time.perf_counter() - started - _LAG_EVERY_S, 0.0))

    def describe(self) -> Iterator[Metric]:
        """No description: the families are made anew at each scrape."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The worker as metric families."""
        yield from self._capture_families()
        yield from self._landing_families()
        yield from self._symbol_families()

    def _capture_families(self) -> Iterator[Metric]:
        worker = self._worker
        gaps = worker.intake.gaps
        yield CounterMetricFamily("quant_trades", "Trades taken in", value=worker.trades)
        yield CounterMetricFamily(
            "quant_gaps_closed", "Gaps repaired or found to be the venue's", value=gaps.closed_gaps
        )
        yield CounterMetricFamily(
            "quant_trades_repaired", "Trades recovered over REST", value=gaps.repaired_trades
        )
        yield CounterMetricFamily(
            "quant_venue_hole_ids", "Ids that the venue does not have", value=gaps.hole_trades
        )
        yield GaugeMetricFamily(
            "quant_gaps_open", "Declared gaps not repaired", value=len(tuple(gaps.open_gaps()))
        )
        rejected = CounterMetricFamily(
            "quant_frames_rejected", "Frames not understood", labels=["kind"]
        )
        for kind, count in worker.rejects.counts.items():
            rejected.add_metric([kind], count)
        yield rejected
        age = GaugeMetricFamily(
            "quant_connection_age_seconds", "Age of each connection in use", labels=["connection"]
        )
        connects = CounterMetricFamily(
            "quant_connects", "Connections opened", labels=["connection"]
        )
        now_us = worker.clock.now_us()
        for number, session in enumerate(worker.sessions):
            connects.add_metric([str(number)], session.connects)
            if session.connected_us is not None:
                age.add_metric([str(number)], (now_us - session.connected_us) / 1e6)
        yield age
        yield connects
        yield GaugeMetricFamily(
            "quant_rest_weight_used",
            "REST request weight spent in this minute",
            value=worker.budget.used(now_us / 1e6),
        )

    def _landing_families(self) -> Iterator[Metric]:
        worker = self._worker
        backlog = worker.backlog
        yield CounterMetricFamily("quant_commits", "Lake commits", value=worker.commits)
        yield CounterMetricFamily(
            "quant_trades_landed", "Trades committed to the lake", value=worker.committed_rows
        )
        yield GaugeMetricFamily(
            "quant_buffered_trades",
            "Trades in memory that have not landed",
            value=worker.recorder.waiting_rows,
        )
        yield GaugeMetricFamily(
            "quant_spool_bytes", "Bytes of spooled batches", value=backlog.spooled_bytes
        )
        yield GaugeMetricFamily("quant_spool_files", "Spooled batches", value=backlog.spooled_files)
        yield GaugeMetricFamily(
            "quant_lake_failing_seconds",
            "Seconds since commits fail, or one hangs",
            value=backlog.failing_s,
        )
        yield GaugeMetricFamily(
            "quant_reading_paused",
            "1 while sockets are not read because memory is full",
            value=float(not worker.flow.is_open.is_set()),
        )

    def _symbol_families(self) -> Iterator[Metric]:
        worker = self._worker
        now_s = worker.clock.steady_s()
        last_id = GaugeMetricFamily("quant_last_trade_id", "Highest trade id", labels=["symbol"])
        silent = GaugeMetricFamily(
            "quant_symbol_silent_seconds", "Seconds since the last trade", labels=["symbol"]
        )
        duplicates = CounterMetricFamily(
            "quant_duplicates_dropped", "Trades received again", labels=["symbol"]
        )
        for name, state in worker.intake.states.items():
            last_id.add_metric([name], float(state.continuity.last_seen or 0))
            silent.add_metric([name], worker.rhythm.silent_s(name, now_s))
            duplicates.add_metric([name], state.duplicates)
        yield last_id
        yield silent
        yield duplicates


def problems(worker: Worker) -> list[str]:
    """What is wrong now, each in a sentence; empty when all is well."""
    found = []
    backlog = worker.backlog
    if backlog.alarm is not None:
        found.append(backlog.alarm)
    if backlog.failing_s > _UNHEALTHY_COMMIT_S:
        found.append(
            f"no commit has succeeded for {backlog.failing_s:.0f} s: {backlog.failing_why}"
        )
    if not worker.flow.is_open.is_set():
        found.append("sockets are not read: memory is full")
    found += [
        f"{len(session.symbols)} symbols have no connection: {session.last_reason}"
        for session in worker.sessions
        if session.connected_us is None
    ]
    return found


def status(worker: Worker) -> dict[str, Any]:
    """The worker's state as `quant status` shows it."""
    now_s, now_us = worker.clock.steady_s(), worker.clock.now_us()
    gaps = worker.intake.gaps
    open_by_symbol: dict[str, int] = {}
    for gap in gaps.open_gaps():
        open_by_symbol[gap.symbol] = open_by_symbol.get(gap.symbol, 0) + 1
    return {
        "writer": worker.recorder.writer,
        "problems": problems(worker),
        "trades": worker.trades,
        "landed": worker.committed_rows,
        "buffered": worker.recorder.waiting_rows,
        "spool_files": worker.backlog.spooled_files,
        "spool_bytes": worker.backlog.spooled_bytes,
        "commits": worker.commits,
        "commit_s": worker.last_commit_s,
        "gaps_closed": gaps.closed_gaps,
        "trades_repaired": gaps.repaired_trades,
        "venue_hole_ids": gaps.hole_trades,
        "frames_rejected": dict(worker.rejects.counts),
        "weight_used": worker.budget.used(now_us / 1e6),
        "weight_allowed": worker.budget.allowed,
        "connections": [
            {
                "symbols": len(session.symbols),
                "age_s": None
                if session.connected_us is None
                else (now_us - session.connected_us) / 1e6,
                "connects": session.connects,
                "last_reason": session.last_reason,
            }
            for session in worker.sessions
        ],
        "symbols": {
            name: {
                "last_id": state.continuity.last_seen,
                "silent_s": worker.rhythm.silent_s(name, now_s),
                "trades_per_s": worker.rhythm.rate(name),
                "missing": state.continuity.missing_count,
                "gaps_open": open_by_symbol.get(name, 0),
                "duplicates": state.duplicates,
            }
            for name, state in worker.intake.states.items()
        },
    }


class StatusServer:
    """Serves `/metrics`, `/healthz` and `/status`.

    Raises:
        OSError: on `start`, the port is taken; the message names the setting.
    """

    def __init__(self, worker: Worker, metrics: WorkerMetrics, host: str, port: int) -> None:
        self._worker = worker
        self._metrics = metrics
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_get("/metrics", self._serve_metrics)
        app.router.add_get("/healthz", self._serve_health)
        app.router.add_get("/status", self._serve_status)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise OSError(
                error.errno,
                f"port {self._port} of setting 'metrics_port' is taken, perhaps by another worker; "
                "stop that, or set another port (0: any free one)",
            ) from error
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve_metrics(self, _request: web.Request) -> web.Response:
        body = generate_latest(self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _serve_health(self, _request: web.Request) -> web.Response:
        found = problems(self._worker)
        return web.Response(
            text="\n".join(found) + "\n" if found else "ok\n", status=503 if found else 200
        )

    async def _serve_status(self, _request: web.Request) -> web.Response:
        return web.json_response(status(self._worker))
