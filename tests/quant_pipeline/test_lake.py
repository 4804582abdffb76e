"""The lake: open anywhere, in use, exact for every price the recordings hold."""

from __future__ import annotations

import gzip
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from quant_pipeline import lake
from quant_pipeline.settings import ROOT, Settings

RECORDING = ROOT / "streaming" / "exchange" / "recordings" / "binance_spot_20240808"
_numbers = itertools.count(1)
_ROW = "('binance', 'BTCUSDT', {id}, TIMESTAMP '{ts}', now()::TIMESTAMP, 61000.5, 0.01, true)"


def _insert(connection: duckdb.DuckDBPyConnection, trade_id: int, ts: str) -> None:
    connection.execute(f"INSERT INTO raw.ticks VALUES {_ROW.format(id=trade_id, ts=ts)}")


@pytest.fixture
def unmade(create_lake: Callable[[str, str], str], tmp_path: Path) -> Settings:
    """Settings of a lake that nobody has opened yet."""
    name = f"unmade_{next(_numbers)}"
    return Settings(home=tmp_path / "data", catalog_dsn=create_lake(name, "template1"))


def test_the_first_connection_makes_the_tables(unmade: Settings) -> None:
    with lake.connect(settings=unmade) as connection:
        assert connection.sql("SELECT count(*) FROM raw.ticks").fetchone() == (0,)
        types = dict(
            connection.sql(
                "SELECT column_name, data_type FROM duckdb_columns()"
                " WHERE schema_name = 'raw' AND table_name = 'ticks'"
            ).fetchall()
        )
    assert types == {
        "venue": "VARCHAR",
        "symbol": "VARCHAR",
        "trade_id": "BIGINT",
        "ts": "TIMESTAMP",
        "received_at": "TIMESTAMP",
        "price": "DOUBLE",
        "quantity": "DOUBLE",
        "is_buyer_maker": "BOOLEAN",
    }


def test_a_reader_is_read_only_and_sees_what_a_writer_commits(settings: Settings) -> None:
    with (
        lake.connect(settings=settings) as writer,
        lake.connect(read_only=True, settings=settings) as reader,
    ):
        _insert(writer, 1, "2024-08-08 23:59:59")
        assert reader.sql("SELECT trade_id FROM raw.ticks").fetchall() == [(1,)]
        with pytest.raises(duckdb.Error, match="read-only"):
            _insert(reader, 2, "2024-08-09 00:00:00")


def test_ticks_are_filed_by_full_date(settings: Settings) -> None:
    with lake.connect(settings=settings) as connection:
        _insert(connection, 1, "2024-08-08 23:59:59")
        _insert(connection, 2, "2024-09-08 00:00:00")
    folders = {str(file.parent) for file in Path(settings.lake_path).rglob("*.parquet")}
    assert sorted(folder.split("ticks/")[1] for folder in folders) == [
        "year=2024/month=8/day=8",
        "year=2024/month=9/day=8",
    ]


def test_a_rows_snapshot_tells_when_it_was_committed(settings: Settings) -> None:
    with lake.connect(settings=settings) as connection:
        _insert(connection, 1, "2024-08-08 12:00:00")
        first = lake.current_snapshot(connection)
        _insert(connection, 2, "2024-08-01 12:00:00")
        late = connection.execute("SELECT trade_id FROM raw.ticks WHERE snapshot_id > ?", [first])
        assert late.fetchall() == [(2,)]


def test_lists_and_maps_that_repeat_are_written_and_merged(settings: Settings) -> None:
    """A reconnect writes two sessions with the same symbols; pair statistics share their names."""
    with lake.connect(settings=settings) as connection:
        for _ in range(2):
            connection.execute(
                "INSERT INTO raw.capture_sessions SELECT 's', 'w', 'binance', 'u',"
                " ['BTCUSDT', 'ETHUSDT'], now()::TIMESTAMP, NULL, NULL, 1 FROM range(5)"
            )
            connection.execute(
                "INSERT INTO analytics.pair_snapshots BY NAME SELECT now()::TIMESTAMP AS taken_at,"
                " 'binance' AS venue, 'A' AS y, 'B' AS x, '1s' AS timeframe,"
                " now()::TIMESTAMP AS window_start, now()::TIMESTAMP AS window_end, 1 AS bars,"
                " 1 AS lake_snapshot, 'c' AS code_version, '2024-08-08' AS day,"
                " 60 AS rolling_window, map(['a', 'b'], [1.0, 2.0]) AS metrics FROM range(5)"
            )
        for schema, table in (("raw", "capture_sessions"), ("analytics", "pair_snapshots")):
            connection.execute(
                f"CALL ducklake_merge_adjacent_files('lake', '{table}', schema => '{schema}')"
            )
            held = connection.execute(f"SELECT count(*) FROM {schema}.{table}").fetchone()
            assert held == (10,)


def test_ticks_and_bars_are_parquet_2(settings: Settings) -> None:
    with lake.connect(settings=settings) as connection:
        _insert(connection, 1, "2024-08-08 12:00:00")
        connection.execute("CREATE TABLE bars.some AS SELECT * FROM raw.ticks")
        written = connection.execute(
            "SELECT DISTINCT format_version FROM parquet_file_metadata(?)",
            [f"{settings.lake_path}/**/*.parquet"],
        ).fetchall()
    assert written == [(2,)]


def test_the_lake_follows_a_data_folder_that_was_moved(settings: Settings, tmp_path: Path) -> None:
    with lake.connect(settings=settings) as connection:
        _insert(connection, 1, "2024-08-08 12:00:00")
    settings.home.rename(tmp_path / "moved")
    moved = settings.model_copy(update={"home": tmp_path / "moved"})
    with lake.connect(settings=moved) as connection:
        assert connection.sql("SELECT trade_id FROM raw.ticks").fetchall() == [(1,)]


def test_every_recorded_price_and_quantity_survives_double(settings: Settings) -> None:
    number = re.compile(r'"(?:p|q|b|B|a|A)":"([0-9.]+)"')
    texts: set[str] = set()
    for file in RECORDING.glob("*.gz"):
        with gzip.open(file, "rt") as lines:
            for line in lines:
                texts.update(number.findall(line))
    assert len(texts) > 10_000
    with lake.connect(settings=settings) as connection:
        connection.execute("CREATE TABLE raw.texts (text VARCHAR, value DOUBLE)")
        connection.execute(
            "INSERT INTO raw.texts SELECT unnest, unnest::DOUBLE FROM unnest(?)", [sorted(texts)]
        )
        stored = connection.sql("SELECT text, value FROM raw.texts").fetchall()
    assert len(stored) == len(texts)
    changed = [text for text, value in stored if f"{value:.8f}" != text]
    assert changed == []


def test_a_lake_that_cannot_be_attached_says_why(unmade: Settings) -> None:
    unmade.home.mkdir()
    (unmade.home / "lake").write_text("a file where the folder belongs")
    with pytest.raises((lake.LakeError, OSError)) as refused:
        lake.connect(settings=unmade)
    assert str(unmade.home / "lake") in str(refused.value)
