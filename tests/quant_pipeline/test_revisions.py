# ruff: noqa: DTZ001 - the lake keeps UTC without a zone
"""Which changes to a bar are revisions, and when a bar is final."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from dbt.contracts.graph.manifest import Manifest
from typer.testing import CliRunner

from quant_pipeline import lake
from quant_pipeline.cli import app
from quant_pipeline.commands.revisions import parse_since
from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings

BARS = ["stg_ticks", "bars"]


def _land(settings: Settings, *ticks: tuple[int, str, float]) -> None:
    """Commit ticks given by id, time of 2024-08-08 and price."""
    with lake.connect(settings=settings) as connection:
        for trade_id, time, price in ticks:
            connection.execute(
                "insert into raw.ticks values ('binance', 'BTCUSDT', ?,"
                " ('2024-08-08 ' || ?)::timestamp, now()::timestamp, ?, 1, false)",
                [trade_id, time, price],
            )


def _revisions(settings: Settings) -> list[tuple[object, ...]]:
    with lake.connect(read_only=True, settings=settings) as connection:
        return connection.execute(
            "select timeframe, strftime(bucket, '%H:%M:%S'), old_high, new_high,"
            " old_trade_count, new_trade_count from bars.ohlc_revisions order by all"
        ).fetchall()


def test_only_changes_to_final_bars_are_revisions(
    settings: Settings, dbt_manifest: Manifest
) -> None:
    dbt = ResidentDbt(settings, manifest=dbt_manifest)
    _land(settings, (10, "12:00:00.5", 100), (20, "12:00:30", 101))
    dbt.run(select=BARS)

    _land(settings, (21, "12:00:30.5", 102), (11, "12:00:00.7", 103))
    dbt.run(select=BARS)
    assert _revisions(settings) == [], "30 s are within the grace of 60 s"

    _land(settings, (30, "12:02:10", 104))
    dbt.run(select=BARS)
    assert _revisions(settings) == [], "a bar that goes on growing is no revision"

    _land(settings, (12, "12:00:00.9", 110), (15, "12:00:10", 90), (20, "12:00:30", 101))
    dbt.run(select=BARS)
    expected = [
        ("1m", "12:00:00", 103.0, 110.0, 4, 6),
        ("1s", "12:00:00", 103.0, 110.0, 2, 3),
        ("1s", "12:00:10", None, 90.0, None, 1),
    ]
    assert _revisions(settings) == expected, "the copy of trade 20 changed nothing"

    _land(settings, (1, "11:00:00", 50))
    dbt.run(select=BARS)
    assert _revisions(settings) == expected, "history in front of the first bar revises nothing"

    dbt.run(select=BARS, full_refresh=True)
    assert _revisions(settings) == expected, "a rebuild keeps the record"

    _land(settings, (16, "12:00:10.5", 95))
    dbt.run(select=BARS, full_refresh=True)
    late = [("1m", "12:00:00", 110.0, 110.0, 6, 7), ("1s", "12:00:10", 90.0, 95.0, 1, 2)]
    assert _revisions(settings) == sorted(expected + late, key=str), "and adds to it"


def test_live_bars_say_when_they_are_final(settings: Settings, dbt_manifest: Manifest) -> None:
    dbt = ResidentDbt(settings, manifest=dbt_manifest)
    _land(settings, (10, "12:00:00.5", 100))
    dbt.run(select=BARS)
    _land(settings, (20, "12:01:59.5", 101))
    query = (
        "select strftime(bucket, '%H:%M'), strftime(final_after, '%H:%M:%S'), is_final"
        " from bars.ohlc_1m_live order by 1"
    )
    with lake.connect(read_only=True, settings=settings) as connection:
        assert connection.execute(query).fetchall() == [
            ("12:00", "12:02:00", True),
            ("12:01", "12:03:00", False),
        ]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", datetime(2024, 8, 9, 11, 58, 30)),
        ("7d", datetime(2024, 8, 2, 12)),
        ("2024-08-09", datetime(2024, 8, 9)),
        ("2024-08-09T12:00+02:00", datetime(2024, 8, 9, 10)),
    ],
)
def test_since_is_a_time_or_an_age(text: str, moment: datetime) -> None:
    assert parse_since(text, datetime(2024, 8, 9, 12)) == moment


def test_since_that_is_neither_is_an_error_that_says_what_is_expected() -> None:
    with pytest.raises(ValueError, match=r"--since 'soon' is neither a time, .* nor an age"):
        parse_since("soon", datetime.now(UTC))


@pytest.mark.parametrize("text", ["99999999999d", "9999999d", "0001-01-01T00:00+02:00"])
def test_since_before_the_calendar_begins_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"--since '.*' is before the year 1"):
        parse_since(text, datetime(2024, 8, 9, 12))


def test_timeframe_that_does_not_exist_is_an_error_that_lists_those_there_are() -> None:
    result = CliRunner().invoke(app, ["revisions", "--since", "1h", "--timeframe", "2m"])
    assert result.exit_code == 1
    assert "timeframe '2m' does not exist; choose from 1s, 1m, 5m, 1h" in str(result.exception)
