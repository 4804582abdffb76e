"""Liquidity models against NumPy and Polars, written from the formulas, one row at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from quant_pipeline import analytics
from quant_pipeline.settings import Settings
from tests.dbt_project.polars_bars import bars
from tests.dbt_project.warehouse import read

BIN_WIDTHS = {"BTCUSDT": Decimal(10), "ETHUSDT": Decimal(1)}


def assert_liquidity_equals_the_formulas(settings: Settings, trades: pl.DataFrame) -> None:
    """Every row of the symbols in `trades` (each trade once), in every liquidity table."""
    _check_vwap(settings, trades)
    _check_profiles(settings, trades)
    _check_illiquidity(settings, trades)
    _check_sizes_and_durations(settings, trades)


def _rows(settings: Settings, table: str, trades: pl.DataFrame) -> pl.DataFrame:
    """The table's rows of the symbols in `trades`."""
    symbols = trades["symbol"].unique()
    return read(settings, f"liquidity.{table}").filter(pl.col("symbol").is_in(symbols.implode()))


def _check_vwap(settings: Settings, trades: pl.DataFrame) -> None:
    actual = _rows(settings, "vwap_1m", trades)
    assert actual.height == bars(trades, "1m").height
    for row in actual.iter_rows(named=True):
        end = row["bucket"] + pl.select(pl.duration(minutes=1)).item()
        own = trades.filter(pl.col("symbol") == row["symbol"], pl.col("ts") < end)
        session = own.filter(pl.col("ts").dt.date() == row["bucket"].date())
        recent = own.filter(pl.col("ts") >= end - pl.select(pl.duration(minutes=60)).item())
        assert row["session_vwap"] == pytest.approx(_vwap(session), rel=1e-12)
        assert row["rolling_vwap"] == pytest.approx(_vwap(recent), rel=1e-12)


def _vwap(trades: pl.DataFrame) -> float:
    price, quantity = trades["price"].to_numpy(), trades["quantity"].to_numpy()
    return float((price * quantity).sum() / quantity.sum())


def _check_profiles(settings: Settings, trades: pl.DataFrame) -> None:
    for timeframe, length in (("1h", "1h"), ("1d", "1d")):
        actual = _rows(settings, f"volume_profile_{timeframe}", trades)
        areas = _rows(settings, "value_areas", trades).filter(pl.col("timeframe") == timeframe)
        profiles = 0
        for symbol, bucket, group in _groups(trades, length):
            profiles += 1
            volume: Counter[int] = Counter()
            bought: Counter[int] = Counter()
            for price, quantity, maker in group.select(
                "price", "quantity", "is_buyer_maker"
            ).iter_rows():
                place = _price_bin(symbol, price)
                volume[place] += round(quantity * 10**8)
                bought[place] += 0 if maker else round(quantity * 10**8)
            control, area = _value_area(volume, 0.7)
            rows = actual.filter(pl.col("symbol") == symbol, pl.col("bucket") == bucket)
            assert rows["bin_index"].to_list() == sorted(volume)
            for row in rows.iter_rows(named=True):
                place = row["bin_index"]
                assert row["bin_low"] == _bin_low(symbol, place)
                assert row["bin_high"] == _bin_low(symbol, place + 1)
                assert row["volume"] == volume[place] / 10**8
                assert row["buy_volume"] == bought[place] / 10**8
                assert row["is_point_of_control"] == (place == control)
                assert row["in_value_area"] == (place in area), (symbol, bucket, place)
            [area_row] = areas.filter(
                pl.col("symbol") == symbol, pl.col("bucket") == bucket
            ).to_dicts()
            traded = [place for place in area if volume[place]]
            assert area_row["point_of_control_low"] == _bin_low(symbol, control)
            assert area_row["value_area_low"] == _bin_low(symbol, min(traded))
            assert area_row["value_area_high"] == _bin_low(symbol, max(traded) + 1)
        assert actual.select("symbol", "bucket").n_unique() == profiles


def _price_bin(symbol: str, price: float) -> int:
    """In decimals: of the configured width, or the first four digits after all smaller numbers."""
    exact = Decimal(repr(price))
    if symbol in BIN_WIDTHS:
        return int(exact // BIN_WIDTHS[symbol])
    magnitude = exact.adjusted()
    return 9000 * magnitude + int(exact.scaleb(3 - magnitude))


def _bin_low(symbol: str, place: int) -> float:
    if symbol in BIN_WIDTHS:
        return float(place * BIN_WIDTHS[symbol])
    magnitude = (place - 1000) // 9000
    return float(Decimal(place - 9000 * magnitude).scaleb(magnitude - 3))


def _value_area(volume: Counter[int], share: float) -> tuple[int, set[int]]:
    """The walk as a market-profile manual tells it, one price row at a time."""
    control = min(place for place in volume if volume[place] == max(volume.values()))
    low = high = control
    held, total = volume[control], sum(volume.values())
    while held < share * total:
        above, below = volume[high + 1], volume[low - 1]
        if high < max(volume) and (above >= below or low <= min(volume)):
            high += 1
            held += above
        else:
            low -= 1
            held += below
    return control, set(range(low, high + 1))


def _check_illiquidity(settings: Settings, trades: pl.DataFrame) -> None:
    minutes = bars(trades, "1m")
    for timeframe, length in (("1h", "1h"), ("1d", "1d")):
        actual = _rows(settings, f"illiquidity_{timeframe}", trades)
        expected = [
            (symbol, bucket, estimates(group))
            for symbol, bucket, group in _groups(minutes, length, time="bucket")
        ]
        assert actual.height == len(expected)
        for symbol, bucket, values in expected:
            [row] = actual.filter(pl.col("symbol") == symbol, pl.col("bucket") == bucket).to_dicts()
            for name, value in values.items():
                # Of an hour whose price went nowhere, rounding leaves 1e-18 or nothing.
                found = 0.0 if row[name] is None else row[name]
                wanted = pytest.approx(value or 0.0, rel=1e-9, abs=1e-9)
                assert found == wanted, (symbol, bucket, name)


def estimates(minutes: pl.DataFrame) -> dict[str, float | None]:
    """By the estimators that equal R's bidask to thirteen digits on its own data."""
    ohlc = [minutes[name].to_numpy() for name in ("open", "high", "low", "close")]
    returns = np.diff(np.log(ohlc[3]))
    spreads = {
        "roll_spread": analytics.roll_spread(*ohlc).spread,
        "corwin_schultz_spread": analytics.corwin_schultz(*ohlc).spread,
        "abdi_ranaldo_spread": analytics.abdi_ranaldo(*ohlc).spread,
    }
    return {
        **{name: None if np.isnan(spread) else spread for name, spread in spreads.items()},
        "amihud_per_million": _amihud(returns, minutes["quote_volume"].to_numpy()[1:]),
    }


def _amihud(returns: NDArray[np.float64], quote_volume: NDArray[np.float64]) -> float | None:
    return float(1e6 * (np.abs(returns) / quote_volume).mean()) if len(returns) else None


def _check_sizes_and_durations(settings: Settings, trades: pl.DataFrame) -> None:
    sizes = _rows(settings, "trade_sizes_1h", trades)
    durations = _rows(settings, "trade_durations_1h", trades)
    for symbol, bucket, group in _groups(trades, "1h"):
        same = (pl.col("symbol") == symbol) & (pl.col("bucket") == bucket)
        [size] = sizes.filter(same).to_dicts()
        quantity = group["quantity"].to_numpy()
        worth = quantity * group["price"].to_numpy()
        for percent in (10, 25, 50, 75, 90, 99):
            assert size[f"quantity_p{percent}"] == pytest.approx(np.percentile(quantity, percent))
        assert size["trade_count"] == group.height
        assert size["mean_quantity"] == pytest.approx(quantity.mean())
        assert size["large_trade_count"] == (worth >= 100_000).sum()
        assert size["large_trade_share"] == pytest.approx(
            worth[worth >= 100_000].sum() / worth.sum()
        )
        [duration] = durations.filter(same).to_dicts()
        gaps = np.diff(group.sort("ts", "trade_id")["ts"].to_numpy()).astype("int64") / 1e6
        assert duration["duration_count"] == len(gaps)
        if not len(gaps):
            assert duration["mean_s"] is duration["p99_s"] is duration["max_s"] is None
            continue
        assert duration["mean_s"] == pytest.approx(gaps.mean())
        assert duration["median_s"] == pytest.approx(np.median(gaps))
        assert duration["p90_s"] == pytest.approx(np.percentile(gaps, 90))
        assert duration["p99_s"] == pytest.approx(np.percentile(gaps, 99))
        assert duration["max_s"] == pytest.approx(gaps.max())
        assert duration["simultaneous_share"] == pytest.approx((gaps == 0).mean())


def _groups(
    frame: pl.DataFrame, length: str, time: str = "ts"
) -> Iterator[tuple[str, Any, pl.DataFrame]]:
    """Each symbol's rows of each span, with the span's start."""
    spans = frame.with_columns(span=pl.col(time).dt.truncate(length))
    for (symbol, span), group in spans.group_by("symbol", "span", maintain_order=True):
        yield str(symbol), span, group
