"""A full build works on some days of ticks at a time: the same tables, or none."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_pipeline import compaction, copies, lake
from quant_pipeline.resident_dbt import DbtError, ResidentDbt
from quant_pipeline.settings import Settings
from tests.dbt_project.histories import tape
from tests.dbt_project.warehouse import BAR_TABLES, LIQUIDITY_TABLES, land, read, read_all

_TICK_TABLES = (
    "bars.ohlc_1s",
    "liquidity.volume_profile_1h",
    "liquidity.trade_sizes_1h",
    "liquidity.trade_durations_1h",
)


def _days(count: int) -> list[pl.DataFrame]:
    """Trades of as many days, not all next to each other, and some trades twice."""
    return [
        pl.concat([day, day[::5]])
        for number in range(count)
        for day in (
            tape("SLICED", number, 80).with_columns(
                pl.col("ts", "received_at").dt.offset_by(f"{number * 3}d"),
                pl.col("trade_id") + number * 1_000_000,
            ),
        )
    ]


def _build(dbt: ResidentDbt, ticks_per_slice: int, *models: str) -> None:
    select = ["--select", *models] if models else []
    per_slice = f"{{ticks_per_slice: {ticks_per_slice}}}"
    dbt.invoke("run", "--full-refresh", *select, "--vars", per_slice)


def _files(settings: Settings) -> dict[str, int]:
    with lake.connect(read_only=True, settings=settings) as connection:
        return {each.name: each.files for each in compaction.table_files(connection)}


def test_tables_built_in_slices_equal_those_built_at_once(
    settings: Settings, dbt: ResidentDbt
) -> None:
    tables = (*BAR_TABLES, *LIQUIDITY_TABLES)
    land(settings, *_days(4))
    _build(dbt, 1_000_000)
    at_once, files_at_once = read_all(settings, tables), _files(settings)
    _build(dbt, 1)
    for table, sliced in read_all(settings, tables).items():
        assert_frame_equal(sliced, at_once[table], check_exact=True)
    for table in _TICK_TABLES:
        assert _files(settings)[table] > files_at_once[table], table
    assert _files(settings)["bars.ohlc_1m"] == files_at_once["bars.ohlc_1m"]


def test_a_slice_is_looked_through_for_copies_unless_a_search_found_none(
    settings: Settings, dbt: ResidentDbt
) -> None:
    models = ("+ohlc_1s", "trade_sizes_1h")
    days = _days(3)
    land(settings, *(day.unique("trade_id") for day in days))
    distinct = sum(day["trade_id"].n_unique() for day in days)
    with lake.connect(settings=settings) as connection:
        assert copies.search(connection) == ()
    land(settings, days[1].head(7))  # copies, newer than the search

    def counts() -> list[int]:
        _build(dbt, 1, *models)
        tables = ("bars.ohlc_1s", "liquidity.trade_sizes_1h")
        return [read(settings, table)["trade_count"].sum() for table in tables]

    assert counts() == [distinct] * 2
    with lake.connect(settings=settings) as connection:
        assert len(copies.search(connection)) == 1
    assert counts() == [distinct] * 2
    # Were it said that none are there, a rebuild would believe it: so it does not look again.
    with lake.connect(settings=settings) as connection:
        snapshot = lake.current_snapshot(connection)
        connection.execute("insert into raw.copy_searches values (?, [])", [snapshot])
    assert counts() == [distinct + 7] * 2
    # A run on fresh ticks looks for copies whatever a search has found.
    land(settings, days[0].head(1))
    dbt.run(select=models)
    assert read(settings, "bars.ohlc_1s")["trade_count"].sum() == distinct + 7


def test_a_build_that_fails_in_a_later_slice_leaves_nothing_behind(
    settings: Settings, dbt: ResidentDbt
) -> None:
    model = "+volume_profile_1h"
    days = _days(3)
    beyond_128_bits = days[2].head(1).with_columns(pl.col("trade_id") + 500, quantity=1e35)
    # The first day lands last: were its rows kept, the newest snapshot would count as consumed.
    land(settings, days[2], beyond_128_bits, days[1], days[0])
    with pytest.raises(DbtError, match="volume_profile_1h"):
        _build(dbt, 1, model)
    assert "liquidity.volume_profile_1h" not in _files(settings)

    with lake.connect(settings=settings) as connection:
        connection.execute("delete from raw.ticks where quantity > 1e30")
    dbt.run(select=[model])
    grown = read(settings, "liquidity.volume_profile_1h")
    assert grown["bucket"].dt.date().n_unique() >= 3
    _build(dbt, 1_000_000, model)
    assert_frame_equal(read(settings, "liquidity.volume_profile_1h"), grown, check_exact=True)
