"""Whatever arrives, in whatever order and batching: every table equals its rebuild."""

from __future__ import annotations

import itertools
import multiprocessing
import multiprocessing.synchronize
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from polars.testing import assert_frame_equal

from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings
from tests.dbt_project.histories import History
from tests.dbt_project.liquidity_formulas import assert_liquidity_equals_the_formulas
from tests.dbt_project.warehouse import (
    BAR_TABLES,
    LIQUIDITY_TABLES,
    assert_bars_equal_polars,
    compact,
    land,
    read_all,
)

SYMBOLS_PER_MACHINE = 25
DELIVERIES: dict[str, Callable[[History, int], pl.DataFrame]] = {
    "on time": History.on_time,
    "late": History.late,
    "again": History.again,
}
_machines = itertools.count(1)


class Arrivals(RuleBasedStateMachine):
    """Twenty-five symbols a machine, each with a history of its own, in one lake.

    Machines share the lake, so later ones run on top of what earlier ones left behind.
    """

    def __init__(self, settings: Settings, dbt: ResidentDbt) -> None:
        super().__init__()
        self.settings, self.dbt = settings, dbt
        self.histories: list[History] = []

    @initialize(seed=st.integers(0, 2**32), trades=st.integers(1, 60))
    def print_tapes(self, seed: int, trades: int) -> None:
        machine = next(_machines)
        self.histories = [
            History.of(f"M{machine}S{n}", seed + 7 * n, trades + n)
            for n in range(SYMBOLS_PER_MACHINE)
        ]
        land(self.settings, pl.concat([history.late(5) for history in self.histories]))

    @rule(
        kinds=st.lists(st.sampled_from(sorted(DELIVERIES)), min_size=25, max_size=25),
        count=st.integers(1, 30),
        commits=st.integers(1, 3),
    )
    def arrive(self, kinds: list[str], count: int, commits: int) -> None:
        parts = [
            DELIVERIES[kind](history, count)
            for history, kind in zip(self.histories, kinds, strict=True)
        ]
        batch = pl.concat(parts).sample(fraction=1.0, shuffle=True, seed=count)
        size = max(1, -(-batch.height // commits))
        land(self.settings, *(part for part in batch.iter_slices(size) if part.height))

    @rule(whole=st.booleans())
    def run_dbt(self, whole: bool) -> None:
        self.dbt.run(select=() if whole else ("config.materialized:incremental,bars",))

    @rule()
    def compact(self) -> None:
        compact(self.settings)

    def teardown(self) -> None:
        if self.histories:
            truth = pl.concat([history.truth for history in self.histories])
            assert_bars_equal_polars(self.settings, truth, suffixes=("_live",))
            self.dbt.run()
            assert_bars_equal_polars(self.settings, truth, suffixes=("", "_live"))
            assert_liquidity_equals_the_formulas(self.settings, truth)


def _assert_tables_equal_their_rebuild(settings: Settings, dbt: ResidentDbt) -> None:
    tables = (*BAR_TABLES, *LIQUIDITY_TABLES)
    grown = read_all(settings, tables)
    dbt.invoke("run", "--full-refresh", "--vars", "{ticks_per_slice: 500}")
    for table, rebuilt in read_all(settings, tables).items():
        assert grown[table].height > 0, table
        assert_frame_equal(rebuilt, grown[table], check_exact=True)


def _run_machines(settings: Settings, dbt: ResidentDbt, machines: int, steps: int) -> None:
    land(settings, History.of("SEED", 1, 30).rest())
    dbt.run()
    run_state_machine_as_test(
        lambda: Arrivals(settings, dbt),
        settings=hypothesis_settings(
            max_examples=machines,
            stateful_step_count=steps,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    _assert_tables_equal_their_rebuild(settings, dbt)


def test_tables_equal_polars_and_their_rebuild_after_any_history(
    settings: Settings, dbt: ResidentDbt
) -> None:
    _run_machines(settings, dbt, machines=1, steps=5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_tables_equal_polars_and_their_rebuild_after_500_histories(
    settings: Settings, dbt: ResidentDbt
) -> None:
    _run_machines(settings, dbt, machines=21, steps=8)


def _write(settings: Settings, symbols: int, seed: int, commits: int) -> None:
    """A writer process: its own share of each tape in time order, then gaps and copies."""
    histories = [History.of(f"C{n}", n, 200) for n in range(symbols)]
    for n, history in enumerate(histories):
        history.rng = np.random.default_rng((seed, n))
    for commit in range(commits):
        kinds = ("on time", "late", "again")
        parts = [
            DELIVERIES[kinds[(commit + n + seed) % 3]](history, 12)
            for n, history in enumerate(histories)
        ]
        land(settings, pl.concat(parts))
    land(settings, pl.concat([history.rest() for history in histories]))


def _compact_until(settings: Settings, done: multiprocessing.synchronize.Event) -> None:
    """A compactor process; ends with its parent, should that be killed."""
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive() and not done.wait(0.3):
        compact(settings)


def _run_with_writers_and_compactor(
    settings: Settings, dbt: ResidentDbt, symbols: int, commits: int
) -> None:
    land(settings, History.of("SEED", 1, 30).rest())
    dbt.run()
    spawn = multiprocessing.get_context("spawn")
    done = spawn.Event()
    compactor = spawn.Process(target=_compact_until, args=(settings, done))
    writers = [
        spawn.Process(target=_write, args=(settings, symbols, seed, commits)) for seed in (1, 2)
    ]
    for process in (compactor, *writers):
        process.start()
    runs = 0
    while any(writer.is_alive() for writer in writers):
        dbt.run()
        runs += 1
    done.set()
    for process in (*writers, compactor):
        process.join(60)
        assert process.exitcode == 0
    assert runs > 0
    dbt.run()
    truth = pl.concat([History.of(f"C{n}", n, 200).tape for n in range(symbols)])
    assert_bars_equal_polars(settings, truth, suffixes=("", "_live"))
    _assert_tables_equal_their_rebuild(settings, dbt)


def test_tables_are_exact_beside_two_writers_and_a_compactor(
    settings: Settings, dbt: ResidentDbt
) -> None:
    _run_with_writers_and_compactor(settings, dbt, symbols=10, commits=3)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_500_histories_are_exact_beside_two_writers_and_a_compactor(
    settings: Settings, dbt: ResidentDbt
) -> None:
    _run_with_writers_and_compactor(settings, dbt, symbols=500, commits=40)
