"""Socket to durable rows: CPU time per trade of this worker beside the usual designs.

    uv run --group bench python benchmarks/ingest.py [--trades N]

One feeder process sends the same trade frames to each design in turn, at full speed; each design is
a process of its own, whose CPU time (user and system, all threads) from the first trade received to
the last one stored is divided by the trades: start-up is not what runs for months. Designs:

- worker/websockets, worker/picows: `quant stream` as it is, into the lake with its catalog
- threads+json+pandas: a websocket-client thread per symbol, json, dicts, pandas, DuckDB append
- websockets+json: one asyncio connection, json, dicts, DuckDB append through Arrow

cryptofeed is not among them: 3.0.1 needs Python 3.13; 2.4.1, which installs, connects to `wss://`
addresses only and reads aggregated trades instead of trades.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

SYMBOLS = ("BTCUSDT", "ETHUSDT")
BASE_ID, BASE_MS = 1_000_000, 1_723_161_255_000
CHUNK = 200


# --- the feeder ---------------------------------------------------------------------------------


def frames(symbol: str, first: int, count: int, *, combined: bool) -> bytes:
    """`count` trade events as WebSocket text frames in one buffer."""
    parts = []
    for number in range(first, first + count):
        event = (
            f'{{"e":"trade","E":{BASE_MS + number},"s":"{symbol}","t":{BASE_ID + number},'
            f'"p":"{61_000 + number % 997}.{number % 100:02d}000000",'
            f'"q":"0.{number % 1000:05d}001",'
            f'"T":{BASE_MS + number},"m":{"true" if number % 3 else "false"},"M":true}}'
        )
        if combined:
            event = f'{{"stream":"{symbol.lower()}@trade","data":{event}}}'
        payload = event.encode()
        parts.append(bytes((0x81, 126)) + len(payload).to_bytes(2, "big") + payload)
    return b"".join(parts)


async def feed(port: int, trades: int) -> None:
    """Serve `trades` trades of each symbol to every client that subscribes, as fast as it reads."""
    from aiohttp import WSMsgType, web

    async def info(_request: web.Request) -> web.Response:
        return web.json_response(
            {"rateLimits": [], "symbols": [{"symbol": s, "status": "TRADING"} for s in SYMBOLS]}
        )

    async def history(_request: web.Request) -> web.Response:
        return web.json_response([])

    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        combined = request.path == "/stream"
        wanted = [s for s in SYMBOLS if s.lower() in request.path_qs]
        while not wanted:
            message = await socket.receive()
            if message.type != WSMsgType.TEXT:
                return socket
            command = json.loads(message.data)
            wanted = [s for s in SYMBOLS if f"{s.lower()}@trade" in command["params"]]
            await socket.send_json({"result": None, "id": command["id"]})
        transport = request.transport
        assert transport is not None
        for first in range(0, trades, CHUNK):
            for symbol in wanted:
                transport.write(
                    frames(symbol, first, min(CHUNK, trades - first), combined=combined)
                )
            while transport.get_write_buffer_size() > 1 << 20:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.router.add_get("/api/v3/exchangeInfo", info)
    app.router.add_get("/api/v3/historicalTrades", history)
    app.router.add_get("/stream", stream)
    app.router.add_get("/ws", stream)
    app.router.add_get("/ws/{streams}", stream)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


# --- the usual designs --------------------------------------------------------------------------

_TABLE = (
    "CREATE TABLE trades (symbol VARCHAR, trade_id BIGINT, ts TIMESTAMP, received_at TIMESTAMP,"
    " price DOUBLE, quantity DOUBLE, is_buyer_maker BOOLEAN)"
)


def _row(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "symbol": event["s"],
        "trade_id": event["t"],
        "ts": event["T"] * 1000,
        "received_at": time.time_ns() // 1000,
        "price": float(event["p"]),
        "quantity": float(event["q"]),
        "is_buyer_maker": event["m"],
    }


_INSERT = (
    "INSERT INTO trades SELECT symbol, trade_id, make_timestamp(ts), make_timestamp(received_at),"
    " price, quantity, is_buyer_maker FROM fresh"
)


def threads_json_pandas(port: int, trades: int, file: str) -> None:
    """A thread and connection per symbol, dicts in a shared list, a data frame a second."""
    import duckdb
    import pandas as pd
    import websocket

    connection = duckdb.connect(file)
    connection.execute(_TABLE)
    rows: list[dict[str, Any]] = []
    lock = threading.Lock()

    def capture(symbol: str) -> None:
        def on_message(_socket: Any, message: str) -> None:
            _begin()
            row = _row(json.loads(message))
            with lock:
                rows.append(row)

        address = f"ws://127.0.0.1:{port}/ws/{symbol.lower()}@trade"
        websocket.WebSocketApp(address, on_message=on_message).run_forever()

    for symbol in SYMBOLS:
        threading.Thread(target=capture, args=(symbol,), daemon=True).start()
    stored = 0
    while stored < trades * len(SYMBOLS):
        time.sleep(1.0)
        with lock:
            full, rows[:] = rows[:], []
        if full:
            fresh = pd.DataFrame(full)
            connection.execute(_INSERT)
            stored += len(fresh)
    _finished(stored)


def websockets_json(port: int, trades: int, file: str) -> None:
    """One asyncio connection, `async for`, json, dicts, an Arrow table a second."""
    import duckdb
    import pyarrow as pa
    from websockets.asyncio.client import connect

    connection = duckdb.connect(file)
    connection.execute(_TABLE)

    async def main() -> None:
        rows: list[dict[str, Any]] = []
        stored, flushed_at = 0, time.monotonic()
        names = "/".join(f"{symbol.lower()}@trade" for symbol in SYMBOLS)
        async with connect(f"ws://127.0.0.1:{port}/stream?streams={names}") as socket:
            async for message in socket:
                _begin()
                rows.append(_row(json.loads(message)["data"]))
                is_last = stored + len(rows) == trades * len(SYMBOLS)
                if is_last or time.monotonic() - flushed_at > 1.0:
                    fresh = pa.Table.from_pylist(rows)
                    connection.execute(_INSERT)
                    stored, rows, flushed_at = stored + fresh.num_rows, [], time.monotonic()
                if is_last:
                    break
        _finished(stored)

    asyncio.run(main())


def worker(port: int, trades: int, home: str, transport: str) -> None:
    """`quant stream`, ended once all has landed."""
    from quant_pipeline.settings import Settings
    from streaming.footprint import freeze_startup, keep_pandas_out

    keep_pandas_out()
    from streaming.worker import Worker

    freeze_startup()  # as `quant stream` does
    settings = Settings(
        home=Path(home),
        catalog_dsn=os.environ["BENCH_DSN"],
        ws_url=f"ws://127.0.0.1:{port}",
        rest_url=f"http://127.0.0.1:{port}",
        metrics_port=0,
        transport="picows" if transport == "picows" else "websockets",
    )

    async def main() -> None:
        stop = asyncio.Event()
        capture = Worker(settings)
        await asyncio.to_thread(capture.landing.connection)
        task = asyncio.create_task(capture.run(stop))
        while capture.committed_rows < trades * len(SYMBOLS) and not task.done():
            await asyncio.sleep(0.002 if not _first else 0.05)
            if len(capture.intake):
                _begin()
        _finished(capture.committed_rows)
        stop.set()
        await task

    if transport == "picows":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())


_first: list[float] = []


def _begin() -> None:
    """Measuring starts with the first trade."""
    if not _first:
        _first.extend((time.process_time(), time.monotonic()))


def _finished(stored: int) -> None:
    cpu_s, wall_s = _first
    figures = {
        "stored": stored,
        "cpu_s": time.process_time() - cpu_s,
        "wall_s": time.monotonic() - wall_s,
    }
    print(json.dumps(figures), flush=True)


# --- the comparison -----------------------------------------------------------------------------

DESIGNS = (
    "threads+json+pandas",
    "websockets+json",
    "worker/websockets",
    "worker/picows",
)


def run_design(design: str, port: int, trades: int, place: str) -> None:
    """Run one design in this process."""
    if design.startswith("worker/"):
        worker(port, trades, place, design.partition("/")[2])
    elif design == "websockets+json":
        websockets_json(port, trades, f"{place}.duckdb")
    else:
        threads_json_pandas(port, trades, f"{place}.duckdb")


def measure(design: str, port: int, trades: int, folder: Path, dsn: str) -> dict[str, float] | str:
    """Run a design as a process; its figures, or why there are none."""
    done = subprocess.run(
        [
            *(sys.executable, __file__, "--design", design, "--port", str(port)),
            *("--trades", str(trades), "--place", str(folder / design.replace("/", "-"))),
        ],
        env=os.environ | {"BENCH_DSN": dsn},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"stored"')]
    if not lines:
        return (done.stderr or done.stdout).strip().splitlines()[-1][:100]
    figures: dict[str, float] = json.loads(lines[0])
    return figures


def main() -> None:
    """Measure every design and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=200_000, help="trades of each symbol")
    parser.add_argument("--port", type=int, default=18_290)
    parser.add_argument("--design", choices=DESIGNS)
    parser.add_argument("--place")
    parser.add_argument("--feed", action="store_true")
    options = parser.parse_args()
    if options.feed:
        asyncio.run(feed(options.port, options.trades))
    elif options.design:
        run_design(options.design, options.port, options.trades, options.place)
    else:
        compare(options.port, options.trades)


def compare(port: int, trades: int) -> None:
    """One run of each design against one feeder."""
    import psycopg
    from psycopg.conninfo import make_conninfo
    from rich.console import Console
    from rich.table import Table

    from quant_pipeline import catalog, lake
    from quant_pipeline.settings import Settings

    table = Table(title=f"{trades * len(SYMBOLS):,} trades of {len(SYMBOLS)} symbols, one run")
    table.add_column("design")
    for name in ("stored", "CPU µs/trade", "trades/CPU s", "× the first", "trades/s"):
        table.add_column(name, justify="right")
    with tempfile.TemporaryDirectory(prefix="ingest") as folder:
        settings = Settings(home=Path(folder) / "data")
        dsn = catalog.ensure(settings)
        feeder = subprocess.Popen(
            [sys.executable, __file__, "--feed", "--port", str(port), "--trades", str(trades)]
        )
        time.sleep(3.0)
        first = 0.0
        try:
            for number, design in enumerate(DESIGNS):
                with psycopg.connect(dsn, autocommit=True) as connection:
                    connection.execute(f"create database bench_{number}")
                own_dsn = make_conninfo(dsn, dbname=f"bench_{number}")
                place = Path(folder) / design.replace("/", "-")
                lake.connect(settings=Settings(home=place, catalog_dsn=own_dsn)).close()
                got = measure(design, port, trades, Path(folder), own_dsn)
                if isinstance(got, str):
                    table.add_row(design, f"failed: {got}")
                    continue
                per_cpu_s = got["stored"] / got["cpu_s"]
                first = first or per_cpu_s
                table.add_row(
                    design,
                    f"{got['stored']:,.0f}",
                    f"{1e6 / per_cpu_s:.2f}",
                    f"{per_cpu_s:,.0f}",
                    f"{per_cpu_s / first:.1f}",
                    f"{got['stored'] / got['wall_s']:,.0f}",
                )
        finally:
            feeder.terminate()
            feeder.wait()
            catalog.destroy(settings)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
