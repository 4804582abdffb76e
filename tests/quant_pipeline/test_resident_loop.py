"""Bars follow every commit of ticks; the liquidity tables wait for their interval."""

from __future__ import annotations

import threading
import time

import duckdb
from dbt.contracts.graph.manifest import Manifest

from quant_pipeline import lake
from quant_pipeline.resident_dbt import ResidentDbt, Run
from quant_pipeline.resident_loop import is_running, keep_fresh
from quant_pipeline.settings import Settings

WITHIN_S = 60.0


class Loop:
    """`keep_fresh` in a thread, and the names of the models that each of its runs made."""

    def __init__(self, settings: Settings, manifest: Manifest) -> None:
        self.runs: list[set[str]] = []
        self.stopping = threading.Event()
        dbt = ResidentDbt(settings, manifest=manifest)
        self._thread = threading.Thread(
            target=keep_fresh, args=(settings, dbt, self.stopping), kwargs={"on_run": self._ran}
        )

    def _ran(self, run: Run) -> None:
        self.runs.append({node.name for node in run.nodes})

    def __enter__(self) -> Loop:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._thread.join(WITHIN_S)

    def wait_for_runs(self, count: int) -> None:
        deadline = time.monotonic() + WITHIN_S
        while len(self.runs) < count:
            assert time.monotonic() < deadline, f"{len(self.runs)} runs"
            assert self._thread.is_alive()
            time.sleep(0.05)


def commit_tick(connection: duckdb.DuckDBPyConnection, number: int) -> None:
    connection.execute(
        "insert into raw.ticks values ('binance', 'BTCUSDT', ?,"
        " timestamp '2024-08-08' + to_seconds(?), timestamp '2024-08-08', 60000, 1, false)",
        [number, number],
    )


def trades_in(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"select sum(trade_count) from {table}").fetchone()
    assert row is not None
    return int(row[0])


def test_bars_follow_at_once_and_liquidity_tables_in_their_interval(
    settings: Settings, dbt_manifest: Manifest
) -> None:
    rare = settings.model_copy(update={"liquidity_interval_s": 10_000.0})
    with lake.connect(settings=settings) as connection:
        commit_tick(connection, 1)
        with Loop(rare, dbt_manifest) as loop:
            loop.wait_for_runs(1)
            assert is_running(settings)
            commit_tick(connection, 2)
            loop.wait_for_runs(2)
            assert trades_in(connection, "bars.ohlc_1h") == 2
            assert trades_in(connection, "liquidity.volume_profile_1d") == 1
        assert {"ohlc_1s_live", "volume_profile_1d"} <= loop.runs[0]
        assert {"ohlc_1s", "ohlc_1m", "ohlc_5m", "ohlc_1h"} <= loop.runs[1]
        assert not {"volume_profile_1d", "ohlc_1s_live"} & loop.runs[1]


def test_the_last_ticks_reach_the_liquidity_tables_though_no_more_come(
    settings: Settings, dbt_manifest: Manifest
) -> None:
    often = settings.model_copy(update={"liquidity_interval_s": 1.0})
    with lake.connect(settings=settings) as connection:
        commit_tick(connection, 1)
        with Loop(often, dbt_manifest) as loop:
            loop.wait_for_runs(1)
            commit_tick(connection, 2)
            deadline = time.monotonic() + WITHIN_S
            while trades_in(connection, "liquidity.volume_profile_1d") < 2:
                assert time.monotonic() < deadline
                time.sleep(0.1)
