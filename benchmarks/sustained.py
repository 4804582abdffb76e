"""Capture at a high rate for minutes: loss, loop lag and memory of the worker.

    uv run python benchmarks/sustained.py [--rate 50000] [--seconds 300] [--transport picows]

A local exchange in a process of its own makes a synthetic market of 20 symbols; the worker runs in
this one, into a lake of its own. Printed: trades made and landed, the lake's own proof that no id
is missing, percentiles of the event loop's lag, and resident memory from minute to minute.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from quant_pipeline import catalog, lake
from quant_pipeline.settings import Settings
from streaming.footprint import freeze_startup, keep_pandas_out
from streaming.verify import verify
from streaming.worker import Worker

SYMBOLS = 20
WARM_UP_S = 5.0


async def measure(settings: Settings, seconds: float) -> None:
    """Run the worker for `seconds` and print what it did."""
    lags: list[float] = []
    memory: list[float] = []
    stop = asyncio.Event()
    keep_pandas_out()  # as `quant stream` does
    freeze_startup()
    worker = Worker(settings)
    task = asyncio.create_task(worker.run(stop))
    while not worker.trades and not task.done():  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    await asyncio.sleep(WARM_UP_S)
    process = psutil.Process()
    cpu = process.cpu_times()
    before, started = worker.trades, time.monotonic()
    next_memory = started
    while (now := time.monotonic()) - started < seconds and not task.done():
        await asyncio.sleep(0.01)
        lags.append(time.monotonic() - now - 0.01)
        if now >= next_memory:
            memory.append(process.memory_info().rss / 1e6)
            next_memory += max(seconds / 10, 1.0)
    elapsed = time.monotonic() - started
    after = process.cpu_times()
    taken = worker.trades - before
    stop.set()
    await task
    used_s = after.user + after.system - cpu.user - cpu.system
    p50, p99, worst = np.percentile(np.array(lags) * 1e3, [50, 99, 100])
    print(f"{taken / elapsed:,.0f} trades/s for {elapsed:.0f} s, {worker.committed_rows:,} landed")
    print(f"CPU {used_s / elapsed * 100:.0f} % of a core, {used_s / taken * 1e6:.2f} µs a trade")
    print(f"loop lag p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {worst:.1f} ms")
    print(f"memory MB {' '.join(f'{value:.0f}' for value in memory)}")
    gaps = worker.intake.gaps
    print(f"gaps closed {gaps.closed_gaps}, trades repaired {gaps.repaired_trades}")


def main() -> None:
    """Run it and print the proof."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--transport", choices=("websockets", "picows"), default="websockets")
    parser.add_argument("--port", type=int, default=18_280)
    options = parser.parse_args()
    names = [f"S{number:03d}USDT" for number in range(SYMBOLS)]
    command = "from quant_pipeline.cli import main; main()"
    arguments = ["exchange", "--synthetic", "--symbols", ",".join(names), "--no-quotes"]
    arguments += ["--rate", str(options.rate), "--port", str(options.port), "--start", "all"]
    with tempfile.TemporaryDirectory(prefix="sustained") as folder:
        settings = Settings(
            home=Path(folder),
            symbols=names,
            ws_url=f"ws://127.0.0.1:{options.port}",
            rest_url=f"http://127.0.0.1:{options.port}",
            transport=options.transport,
            metrics_port=0,
        )
        lake.connect(settings=settings).close()
        exchange = subprocess.Popen([sys.executable, "-c", command, *arguments])
        try:
            try:
                time.sleep(5.0)
                if options.transport == "picows":
                    import uvloop

                    uvloop.run(measure(settings, options.seconds))
                else:
                    asyncio.run(measure(settings, options.seconds))
            finally:
                exchange.terminate()
                exchange.wait()
            with lake.connect(read_only=True, settings=settings) as connection:
                proofs = verify(connection, settings.venue)
            lost = sum(proof.absent("open", "unexplained") for proof in proofs)
            repeated = sum(proof.repeated_rows for proof in proofs)
            print(
                f"lake: {sum(p.trades for p in proofs):,} trades, {lost} lost, {repeated} repeated"
            )
        finally:
            catalog.destroy(settings)


if __name__ == "__main__":
    main()
