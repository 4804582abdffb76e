"""`quant demo`: the main job, exactly, and again."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from quant_pipeline import lake

# Counted from the recording's frames by an independent reader of the session.
_EXPECTED = [
    ("BTCUSDT", 19_904, 19_904, 3735683259, 3735703162),
    ("ETHUSDT", 14_515, 14_515, 1520538925, 1520553439),
]
_TICKS = (
    "SELECT symbol, count(*), count(DISTINCT trade_id), min(trade_id), max(trade_id)"
    " FROM raw.ticks GROUP BY symbol ORDER BY symbol"
)


def _ticks(demo: Any) -> list[tuple[Any, ...]]:
    with lake.connect(read_only=True, settings=demo.settings) as connection:
        return connection.sql(_TICKS).fetchall()


def test_it_captures_every_recorded_trade_once(demo: Any) -> None:
    assert _ticks(demo) == _EXPECTED


def test_it_ends_with_what_happened_and_where_the_reports_are(demo: Any) -> None:
    for expected in ("19,904", "14,515", "hedge_ratio", "Seconds per stage"):
        assert expected in demo.output
    reports = sorted(demo.settings.reports_dir.glob("pair/BTCUSDT-ETHUSDT/*.html"))
    assert [report.stem for report in reports] == ["2024-08-08", "2024-08-09"]
    for report in reports:
        assert f"report: {report}" in demo.output.replace("\n", "")


def test_a_second_run_changes_no_tick_and_no_bar(demo: Any, run_demo: Any) -> None:
    query = "SELECT * EXCLUDE (src_snapshot) FROM bars.ohlc_1s ORDER BY symbol, bucket"
    with lake.connect(read_only=True, settings=demo.settings) as connection:
        before = connection.sql(query).fetchall()
    run_demo(demo.home)
    assert _ticks(demo) == _EXPECTED
    with lake.connect(read_only=True, settings=demo.settings) as connection:
        assert connection.sql(query).fetchall() == before


def test_fresh_refuses_to_delete_trades_that_are_not_its_own(demo: Any, quant: Any) -> None:
    with lake.connect(settings=demo.settings) as connection:
        connection.execute(
            "INSERT INTO raw.ticks SELECT * REPLACE (1 AS trade_id) FROM raw.ticks LIMIT 1"
        )
    try:
        with pytest.raises(subprocess.CalledProcessError) as refused:
            quant(demo.home, "demo", "--fresh")
        assert "holds 1 trades that are not the demo's" in refused.value.stderr.replace("\n", " ")
    finally:
        with lake.connect(settings=demo.settings) as connection:
            connection.execute("DELETE FROM raw.ticks WHERE trade_id = 1")
    assert _ticks(demo) == _EXPECTED
