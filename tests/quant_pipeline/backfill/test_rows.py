"""Rows are judged one by one: every row is either good, with its exact values, or refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.backfill.rows import Period, check, exchanged_columns

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH = datetime.fromisoformat("1970-01-01")
UNITS = {"ms": 1_000, "us": 1, "ns": 1}

moments_us = st.integers(1_262_304_000_000_000, 1_767_225_600_000_000)  # 2010 to 2026
amounts = st.floats(1e-8, 1e9, allow_nan=False)


@st.composite
def good_rows(draw: st.DrawFn) -> tuple[dict[str, str], tuple[object, ...]]:
    """A row as text, and what it says."""
    trade_id = draw(st.integers(0, 2**62))
    price, quantity = draw(amounts), draw(amounts)
    us, unit = draw(moments_us), draw(st.sampled_from(sorted(UNITS)))
    time = us // 1000 if unit == "ms" else us * 1000 if unit == "ns" else us
    us = time * 1000 if unit == "ms" else us
    maker = draw(st.booleans())
    text = {
        "trade_id": str(trade_id),
        "price": repr(price),
        "quantity": repr(quantity),
        "time": str(time),
        "is_buyer_maker": draw(st.sampled_from(["True", "true", "1"] if maker else ["False", "0"])),
    }
    return text, (trade_id, EPOCH + timedelta(microseconds=us), price, quantity, maker)


def frame(rows: list[dict[str, str]]) -> pl.DataFrame:
    schema = dict.fromkeys(("trade_id", "price", "quantity", "time", "is_buyer_maker"), pl.String())
    return pl.DataFrame(rows, schema=schema).with_columns(
        pl.lit("BTCUSDT").alias("symbol"),
        pl.int_range(1, len(rows) + 1, dtype=pl.Int64).alias("row"),
        pl.lit("").alias("text"),
    )


@given(st.lists(good_rows(), min_size=1, max_size=20))
@settings(max_examples=150)
def test_good_rows_keep_their_exact_values_whatever_the_unit_of_time(
    rows: list[tuple[dict[str, str], tuple[object, ...]]],
) -> None:
    checked = check(frame([text for text, _ in rows]), "trades", now=NOW, period=None)
    assert checked.rejected.is_empty()
    columns = ("trade_id", "ts", "price", "quantity", "is_buyer_maker")
    assert checked.good.select(columns).rows() == [meaning for _, meaning in rows]
    assert sum(checked.eras.values()) == len(rows)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                name: st.text(max_size=8)
                | st.sampled_from(["1", "-1", "nan", "1e14", "1e999", "True", ""])
                for name in ("trade_id", "price", "quantity", "time", "is_buyer_maker")
            }
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=150)
def test_any_text_is_either_good_or_refused_with_a_reason(rows: list[dict[str, str]]) -> None:
    checked = check(frame(rows), "trades", now=NOW, period=None)
    assert checked.good.height + checked.rejected.height == len(rows)
    assert checked.rejected["reason"].null_count() == 0
    seen = sorted([*checked.good["row"], *checked.rejected["row"]])
    assert seen == list(range(1, len(rows) + 1))
    for name in ("price", "quantity"):
        assert checked.good[name].is_between(0, 1e14, closed="none").all()


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024-08-08", "2024-08-08", "2024-08-09"),
        ("2024-02", "2024-02-01", "2024-03-01"),
        ("2024-12", "2024-12-01", "2025-01-01"),
    ],
)
def test_period_of_a_file_name(text: str, start: str, end: str) -> None:
    period = Period.parse(text)
    assert (period.start, period.end) == tuple(map(datetime.fromisoformat, (start, end)))


def test_equal_sizes_and_a_calm_price_do_not_look_exchanged() -> None:
    calm = pl.DataFrame({"price": [100.0 + at % 3 for at in range(200)], "quantity": [1.0] * 200})
    assert not exchanged_columns(calm)
    sizes = [0.001 * (1 + at * 7919 % 997) for at in range(200)]
    swapped = pl.DataFrame({"price": sizes, "quantity": calm["price"]})
    assert exchanged_columns(swapped)
    assert not exchanged_columns(swapped.head(20)), "too few rows to tell"
