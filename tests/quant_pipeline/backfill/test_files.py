"""Files land whole or as far as they can be trusted, each trade once, nothing silently dropped."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import polars as pl
import pytest

from quant_pipeline.backfill.files import FileReport, Options, backfill_files
from quant_pipeline.backfill.landing import Lander
from quant_pipeline.backfill.rejects import RejectLog

Row = tuple[str, ...]
MakeZip = Callable[..., Path]
OPTIONS = Options(venue="binance")


@pytest.fixture
def rejects(tmp_path: Path) -> Path:
    return tmp_path / "rejects.csv"


def run(
    lander: Lander, rejects: Path, *paths: Path, options: Options = OPTIONS
) -> list[FileReport]:
    with RejectLog(rejects) as log:
        return backfill_files(paths, options, lander, log)


def refused(rejects: Path) -> list[dict[str, str]]:
    if not rejects.exists():
        return []
    with rejects.open(newline="") as file:
        return list(csv.DictReader(file))


def ids(connection: duckdb.DuckDBPyConnection) -> list[int]:
    rows = connection.execute("select trade_id from raw.ticks order by trade_id").fetchall()
    return [row[0] for row in rows]


def test_archive_day_lands_every_trade_with_its_values(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    (report,) = run(lander, rejects, make_zip(btc_rows))
    assert (report.status, report.new, report.rejected) == ("landed", len(btc_rows), 0)
    assert report.is_clean
    assert not rejects.exists()
    stored = connection.execute(
        "select trade_id, price, quantity, epoch_ms(ts), is_buyer_maker, venue, symbol"
        " from raw.ticks order by trade_id"
    ).fetchall()
    assert stored == [
        (int(i), float(p), float(q), int(t), m == "True", "binance", "BTCUSDT")
        for i, p, q, _, t, m, _ in btc_rows
    ]


def test_second_backfill_inserts_nothing(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    path = make_zip(btc_rows)
    run(lander, rejects, path)
    (same,) = run(lander, rejects, path)
    assert (same.status, same.skipped, same.new) == ("already landed", len(btc_rows), 0)
    (again,) = run(lander, rejects, path, options=Options("binance", again=True))
    assert (again.new, again.duplicate) == (0, len(btc_rows))
    other = make_zip(btc_rows[100:], "BTCUSDT-trades-2024-08")
    (overlapping,) = run(lander, rejects, other)
    assert (overlapping.new, overlapping.duplicate) == (0, len(btc_rows) - 100)
    assert len(ids(connection)) == len(btc_rows)


def test_trades_the_worker_landed_are_duplicates_though_its_times_are_finer(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    i, p, q, _, t, m, _ = btc_rows[7]
    connection.execute(
        "insert into raw.ticks values ('binance', 'BTCUSDT', ?, make_timestamp(?), now(), ?, ?, ?)",
        [int(i), int(t) * 1000 + 999, float(p), float(q), m == "True"],
    )
    (report,) = run(lander, rejects, make_zip(btc_rows[:20]))
    assert (report.new, report.duplicate, report.rejected) == (19, 1, 0)


def test_run_that_was_killed_goes_on_where_it_committed_last(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    path = make_zip(btc_rows)
    options = Options("binance", block_bytes=100_000)

    class KilledError(Exception):
        pass

    def kill(report: FileReport, _bytes: int) -> None:
        if report.new > 2000:
            raise KilledError

    with RejectLog(rejects) as log, pytest.raises(KilledError):
        backfill_files([path], options, lander, log, on_progress=kill)
    committed = len(ids(connection))
    assert 0 < committed < len(btc_rows)
    (report,) = run(lander, rejects, path, options=options)
    assert (report.skipped, report.new) == (committed, len(btc_rows) - committed)
    assert report.duplicate == 0
    assert ids(connection) == [int(row[0]) for row in btc_rows]


def test_truncated_zip_is_reported_and_its_beginning_kept(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    path = make_zip(btc_rows)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (report,) = run(lander, rejects, path)
    assert report.status == "damaged"
    assert "the zip file is cut" in str(report.problem)
    kept = ids(connection)
    assert 1000 < len(kept) < len(btc_rows)
    assert kept == [int(row[0]) for row in btc_rows[: len(kept)]]
    path.write_bytes(whole)
    (repaired,) = run(lander, rejects, path)
    assert repaired.is_clean
    assert (repaired.new, repaired.duplicate) == (len(btc_rows) - len(kept), len(kept))


def test_encrypted_zip_is_refused_and_the_next_file_is_read(
    btc_rows: list[Row], make_zip: MakeZip, lander: Lander, rejects: Path, tmp_path: Path
) -> None:
    good = make_zip(btc_rows[:50])
    path = tmp_path / "BTCUSDT-trades-2024-08-07.zip"
    packed = bytearray(good.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # bit 0 of the flags
        packed[packed.index(magic) + offset] |= 1
    path.write_bytes(packed)
    with RejectLog(rejects) as log:
        locked, read = backfill_files([path, good], Options("binance"), lander, log)
    assert locked.status == "refused"
    assert "is encrypted" in str(locked.problem)
    assert read.new == 50


def test_wrong_checksum_is_reported_and_the_good_rows_kept_unless_refused(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    path = make_zip(btc_rows[:50])
    path.with_name(path.name + ".CHECKSUM").write_text("0" * 64 + f"  {path.name}\n")
    (strict,) = run(lander, rejects, path, options=Options("binance", require_checksum=True))
    assert strict.status == "refused"
    assert ids(connection) == []
    (report,) = run(lander, rejects, path)
    assert "is not the file its .CHECKSUM speaks of" in str(report.problem)
    assert not report.is_clean
    assert len(ids(connection)) == 50


def test_flipped_bit_inside_a_zip_lands_no_row(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    path = make_zip(btc_rows, checked=False)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    (report,) = run(lander, rejects, path)
    assert report.status == "refused"
    assert "no row of it can be told right from wrong" in str(report.problem)
    assert ids(connection) == []
    assert refused(rejects)[0]["row"] == "all"


def test_bad_rows_go_to_the_rejects_file_with_reasons_and_the_good_ones_land(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    rows = [list(row) for row in btc_rows[:100]]
    changes = {3: (1, "NaN"), 10: (2, "-0.5"), 20: (1, "inf"), 30: (0, "12x"), 40: (4, "17231")}
    for at, (column, value) in changes.items():
        rows[at][column] = value
    rows[50] = rows[50][:5]
    rows[60][5] = "maybe"
    rows[70][4], rows[70][0] = rows[70][0], rows[70][4]  # one row's columns shuffled
    rows[80][4] = str(int(rows[80][4]) + 86_400_000)
    rows[90][2] = str(2 * float(rows[90][2]))
    (report,) = run(lander, rejects, make_zip([tuple(row) for row in rows]))
    assert (report.new, report.rejected) == (90, 10)
    written = {int(line["row"]): line["reason"] for line in refused(rejects)}
    assert {row: " ".join(reason.split()[:3]) for row, reason in written.items()} == {
        4: "price NaN is",
        11: "quantity -0.5 is",
        21: "price inf is",
        31: "trade_id 12x is",
        41: "time 17231 is",
        51: "5 columns instead",
        61: "is_buyer_maker maybe is",
        71: f"time {rows[70][4]} is",
        81: f"time {rows[80][4]} is",
        91: f"quote {rows[90][3]} is",
    }
    assert "outside 2024-08-08 to 2024-08-09" in written[81]
    assert sum(report.reasons.values()) == 10
    bad = {*changes, 50, 60, 70, 80, 90}
    assert ids(connection) == [int(r[0]) for at, r in enumerate(btc_rows[:100]) if at not in bad]


def test_mixed_eras_in_a_file_are_each_read_by_their_own(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    rows = [
        (*row[:4], row[4] if at % 2 else row[4] + "123", *row[5:])
        for at, row in enumerate(btc_rows[:10])
    ]
    (report,) = run(lander, rejects, make_zip(rows))
    assert report.new == 10
    assert "5 rows in ms, 5 rows in us" in report.notes[0]
    stored = connection.execute("select epoch_us(ts) from raw.ticks order by trade_id").fetchall()
    expected = [int(row[4] + ("000" if at % 2 else "123")) for at, row in enumerate(btc_rows[:10])]
    assert [us for (us,) in stored] == expected


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ((4, 1, 2, 3, 0, 5, 6), "are its columns in another order"),
        ((0, 2, 1, 3, 4, 5, 6), "price and quantity look exchanged"),
    ],
)
def test_shuffled_columns_are_refused_and_land_once_they_are_named(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
    order: Sequence[int],
    says: str,
) -> None:
    path = make_zip([tuple(row[at] for at in order) for row in btc_rows[:500]])
    (report,) = run(lander, rejects, path)
    assert report.status == "refused"
    assert says in str(report.problem)
    assert ids(connection) == []
    names = ("trade_id", "price", "quantity", "quote", "time", "is_buyer_maker")
    mapping = {name: str(order.index(at)) for at, name in enumerate(names)}
    (named,) = run(lander, rejects, path, options=Options("binance", mapping=mapping))
    assert (named.status, named.new) == ("landed", 500)
    assert ids(connection) == [int(row[0]) for row in btc_rows[:500]]


def test_shuffled_columns_under_a_header_are_read_by_their_names(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    header = ("time", "qty", "id", "is_buyer_maker", "price")
    rows = [(r[4], r[2], r[0], r[5].lower(), r[1]) for r in btc_rows[:30]]
    (report,) = run(lander, rejects, make_zip([header, *rows]))
    assert report.new == 30
    (price,) = connection.execute("select min(price) from raw.ticks").fetchone() or (0,)
    assert price == min(float(row[1]) for row in btc_rows[:30])


def test_content_that_contradicts_the_lake_or_the_file_is_refused(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    run(lander, rejects, make_zip(btc_rows[:10]))
    i, _, q, _, *others = btc_rows[4]
    revised = (i, "61000.0", q, f"{61000.0 * float(q):.8f}", *others)
    twice = btc_rows[20]
    other = (twice[0], "61001.0", twice[2], f"{61001.0 * float(twice[2]):.8f}", *twice[4:])
    path = make_zip([revised, twice, twice, other], "BTCUSDT-trades-2024-08")
    (report,) = run(lander, rejects, path)
    assert (report.new, report.duplicate, report.rejected) == (1, 1, 2)
    told = {line["row"]: line["reason"] for line in refused(rejects)}
    assert "is in the lake with other content" in told["1"]
    assert "came before in the file with other content" in told["4"]
    assert len(ids(connection)) == 11


def test_aggregate_trades_have_a_table_of_their_own(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    rows = [
        (str(900 + at), r[1], r[2], r[0], str(int(r[0]) + 2), r[4], r[5], "True")
        for at, r in enumerate(btc_rows[:30:3])
    ]
    backwards = (*rows[0][:4], "5", *rows[0][5:])
    path = make_zip([*rows, ("999", *backwards[1:])], "BTCUSDT-aggTrades-2024-08-08")
    (report,) = run(lander, rejects, path)
    assert (report.new, report.rejected) == (10, 1)
    assert ids(connection) == []
    stored = connection.execute(
        "select count(*), sum(last_id - first_id + 1), min(symbol) from raw.agg_trades"
    ).fetchone()
    assert stored == (10, 30, "BTCUSDT")


def test_csv_with_iso_times_and_sides_lands_by_mapping(
    lander: Lander, connection: duckdb.DuckDBPyConnection, rejects: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.csv"
    path.write_text(
        "px,amount,tid,when,side,symbol\n"
        "3000.5,1.5,1,2024-08-08 10:00:00.123456,buy,ETHUSDT\n"
        '3000.4,"2",2,2024-08-08T10:00:01Z,SELL,ETHUSDT\n'
        "61000,0.1,1,2024-08-08T10:00:01.5+00:00,sell,BTCUSDT\n"
        "61000,0.1,2,2024-08-08T10:00:01+02:00,sell,BTCUSDT\n"
        "61000,0.1,3,2024-08-08T10:00:02,sell,BTC-USDT\n"
    )
    (unnamed,) = run(lander, rejects, path)
    assert "which of them is time?" in str(unnamed.problem)
    (report,) = run(lander, rejects, path, options=Options("binance", mapping={"time": "when"}))
    assert (report.new, report.rejected) == (4, 1)
    stored = connection.execute(
        "select symbol, trade_id, ts::varchar, quantity, is_buyer_maker from raw.ticks"
        " order by symbol, trade_id"
    ).fetchall()
    assert stored == [
        ("BTCUSDT", 1, "2024-08-08 10:00:01.5", 0.1, True),
        ("BTCUSDT", 2, "2024-08-08 08:00:01", 0.1, True),
        ("ETHUSDT", 1, "2024-08-08 10:00:00.123456", 1.5, False),
        ("ETHUSDT", 2, "2024-08-08 10:00:01", 2.0, True),
    ]


def test_parquet_lands_by_its_column_names_and_refuses_bad_rows(
    btc_rows: list[Row],
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
    tmp_path: Path,
) -> None:
    frame = pl.DataFrame(
        {
            "id": [int(row[0]) for row in btc_rows[:100]],
            "px": [float(row[1]) for row in btc_rows[:99]] + [float("nan")],
            "quantity": [float(row[2]) for row in btc_rows[:100]],
            "when": pl.Series([int(row[4]) for row in btc_rows[:100]]).cast(pl.Datetime("ms")),
            "is_buyer_maker": [row[5] == "True" for row in btc_rows[:100]],
        }
    )
    path = tmp_path / "mine.parquet"
    frame.write_parquet(path)
    options = Options("binance", symbol="BTCUSDT", mapping={"price": "px", "time": "when"})
    (report,) = run(lander, rejects, path, options=options)
    assert (report.new, report.rejected) == (99, 1)
    (line,) = refused(rejects)
    assert json.loads(line["text"])["id"] == int(btc_rows[99][0])
    stored = connection.execute("select max(epoch_ms(ts)) from raw.ticks").fetchone()
    assert stored == (max(int(row[4]) for row in btc_rows[:99]),)


def test_bad_files_do_not_stop_the_others(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
    tmp_path: Path,
) -> None:
    not_zip = tmp_path / "BTCUSDT-trades-2024-08-07.zip"
    not_zip.write_text("<html>404</html>")
    half = tmp_path / "x.parquet"
    half.write_bytes(b"PAR1half")
    nameless = tmp_path / "nameless.csv"
    nameless.write_text("1,2,3\n")
    klines = tmp_path / "BTCUSDT-1m-2024-08-08.zip"
    klines.write_bytes(b"")
    good = make_zip(btc_rows[:10])
    paths = (not_zip, half, nameless, klines, tmp_path / "missing.zip", good)
    reports = run(lander, rejects, *paths)
    assert [report.status for report in reports] == ["refused"] * 5 + ["landed"]
    problems = [str(report.problem) for report in reports[:5]]
    for problem, expected in zip(
        problems,
        ("is not a zip", "not a whole Parquet", "has no header", "holds klines", "is not a file"),
        strict=True,
    ):
        assert expected in problem
    assert len(refused(rejects)) == 5
    assert len(ids(connection)) == 10


def test_ticks_of_archived_days_are_refused(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    connection.execute("insert into raw.archived_days values ('2024-08-08', now(), 'x', 1)")
    (report,) = run(lander, rejects, make_zip(btc_rows[:10]))
    assert (report.new, report.rejected) == (0, 10)
    assert "retention archived" in refused(rejects)[0]["reason"]


def test_id_that_the_lake_holds_at_another_hour_is_refused(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    run(lander, rejects, make_zip(btc_rows[:10]))
    late = (*btc_rows[4][:4], str(int(btc_rows[4][4]) + 3_600_000), *btc_rows[4][5:])
    (report,) = run(lander, rejects, make_zip([late], "BTCUSDT-trades-2024-08"))
    assert (report.new, report.rejected) == (0, 1)
    assert len(ids(connection)) == 10


def test_id_that_comes_again_in_a_later_chunk_of_the_file_is_refused(
    btc_rows: list[Row],
    make_zip: MakeZip,
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
) -> None:
    late = (btc_rows[0][0], *btc_rows[1999][1:])
    options = Options("binance", block_bytes=50_000)
    (report,) = run(lander, rejects, make_zip([*btc_rows[:2000], late]), options=options)
    assert (report.new, report.rejected) == (2000, 1)
    assert list(report.reasons) == ["id … is in the lake with other content, which stays"]
    assert len(ids(connection)) == 2000


def test_symbol_given_for_a_file_that_names_others_relabels_no_row(
    lander: Lander, connection: duckdb.DuckDBPyConnection, rejects: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.csv"
    symbols = ("BTCUSDT", "DOGEUSDT", "", "btcusdt")
    path.write_text(
        "id,price,qty,time,side,symbol\n"
        + "".join(f"{at},1,2,1723111200000,buy,{name}\n" for at, name in enumerate(symbols))
    )
    (report,) = run(lander, rejects, path, options=Options("binance", symbol="BTCUSDT"))
    assert (report.new, report.rejected) == (1, 3)
    told = {line["row"]: line["reason"] for line in refused(rejects)}
    assert "symbol DOGEUSDT is not BTCUSDT, which --symbol or the file's name says" in told["2"]
    assert "is not 2 to 20 capital letters" in told["3"]
    (wrong,) = run(lander, rejects, path, options=Options("binance", symbol="ETHUSDT"))
    assert wrong.status == "refused"
    assert "leave --symbol out" in str(wrong.problem)
    assert ids(connection) == [0]


def parquet(path: Path, **changes: pl.Series) -> Path:
    columns = {
        "id": pl.Series([1, 2]),
        "price": pl.Series([1.5, 1.6]),
        "qty": pl.Series([1.0, 2.0]),
        "time": pl.Series([1723111200000, 1723111201000]),
        "side": pl.Series(["buy", "sell"]),
    }
    pl.DataFrame({**columns, **changes}).write_parquet(path)
    return path


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("price", pl.Series([[1.5], [1.6]]), "list<element: double> and cannot be price"),
        ("time", pl.Series([1, 2]).cast(pl.Time), "has no date"),
        ("time", pl.Series([1, 2]).cast(pl.Date), "has no time of day"),
        ("id", pl.Series([b"1", b"2"]), "column 'id' is"),
        ("id", pl.Series([True, False]), "column 'id' is bool"),
    ],
)
def test_parquet_column_of_an_unfit_type_is_refused_and_the_next_file_is_read(
    lander: Lander, rejects: Path, tmp_path: Path, column: str, values: pl.Series, says: str
) -> None:
    bad = parquet(tmp_path / "bad.parquet", **{column: values})
    good = parquet(tmp_path / "good.parquet")
    options = Options("binance", symbol="BTCUSDT")
    refusal, landed = run(lander, rejects, bad, good, options=options)
    assert refusal.status == "refused"
    assert says in str(refusal.problem)
    assert "bad.parquet" in str(refusal.problem)
    assert landed.new == 2


def test_parquet_text_in_a_dictionary_is_read_as_text(
    lander: Lander, connection: duckdb.DuckDBPyConnection, rejects: Path, tmp_path: Path
) -> None:
    path = parquet(tmp_path / "x.parquet", id=pl.Series(["70", "80"]).cast(pl.Categorical))
    run(lander, rejects, path, options=Options("binance", symbol="BTCUSDT"))
    assert ids(connection) == [70, 80]


def test_parquet_damaged_inside_is_reported_by_name_and_the_next_file_is_read(
    lander: Lander, rejects: Path, tmp_path: Path
) -> None:
    bad, good = parquet(tmp_path / "bad.parquet"), parquet(tmp_path / "good.parquet")
    data = bad.read_bytes()
    bad.write_bytes(data[:4] + b"\xff" * 60 + data[64:])
    report, landed = run(lander, rejects, bad, good, options=Options("binance", symbol="BTCUSDT"))
    assert report.status == "refused"
    assert "bad.parquet cannot be read" in str(report.problem)
    assert landed.new == 2


def test_zip_packed_by_an_unknown_method_is_refused(
    btc_rows: list[Row], make_zip: MakeZip, lander: Lander, rejects: Path
) -> None:
    path = make_zip(btc_rows[:50], checked=False)
    packed = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        packed[packed.index(magic) + offset] = 77
    path.write_bytes(packed)
    (report,) = run(lander, rejects, path)
    assert report.status == "refused"
    assert "unpack it first" in str(report.problem)


def test_byte_order_mark_costs_no_row_and_no_column(
    btc_rows: list[Row],
    lander: Lander,
    connection: duckdb.DuckDBPyConnection,
    rejects: Path,
    tmp_path: Path,
) -> None:
    archive = tmp_path / "BTCUSDT-trades-2024-08-08.csv"
    archive.write_text("\ufeff" + "".join(",".join(row) + "\n" for row in btc_rows[:5]))
    named = tmp_path / "named.csv"
    named.write_text('\ufeff"id","price","qty","time","side"\n1,2,3,1723111200000,buy\n')
    first, second = run(lander, rejects, archive, named, options=Options("binance", "BTCUSDT"))
    assert (first.new, first.rejected) == (5, 0)
    assert (second.new, second.problem) == (1, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,price,qty,time,side\n1,2,3,4,buy\n".encode("utf-16"), "is UTF-16"),
        ("id,price,qty,time,side\n1,2,3,4,buy\n".encode("utf-16-le"), "is UTF-16"),
        (b"id;price;qty;time;side\n1;2,5;3;1723111200000;buy\n", "separated by ';'"),
        (b"id\tprice\tqty\ttime\tside\n1\t2\t3\t1723111200000\tbuy\n", "separated by a tab"),
    ],
)
def test_text_of_another_encoding_or_separator_is_told(
    lander: Lander, rejects: Path, tmp_path: Path, text: bytes, says: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text)
    (report,) = run(lander, rejects, path, options=Options("binance", symbol="BTCUSDT"))
    assert report.status == "refused"
    assert says in str(report.problem)


def test_time_that_is_only_a_date_is_refused_with_the_accepted_forms(
    lander: Lander, rejects: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "id,price,qty,time,side\n1,2,3,2024-08-08,buy\n2,2,3,2024-08-08T10:00:00-0330,buy\n"
    )
    (report,) = run(lander, rejects, path, options=Options("binance", symbol="BTCUSDT"))
    assert (report.new, report.rejected) == (1, 1)
    assert (
        "2024-08-08 is not ms, µs or ns since 1970, nor a date with time as in"
        in (refused(rejects)[0]["reason"])
    )


def test_rerun_of_a_file_with_refused_rows_still_tells_of_them(
    btc_rows: list[Row], make_zip: MakeZip, lander: Lander, rejects: Path
) -> None:
    bad = (*btc_rows[3][:4], "noon", *btc_rows[3][5:])
    path = make_zip([*btc_rows[:3], bad])
    options = Options("binance", again=True)
    for _ in range(2):
        (first,) = run(lander, rejects, path, options=options)
        assert (first.status, first.rejected) == ("landed", 1)
    (again,) = run(lander, rejects, path)
    assert (again.status, again.rejected, again.is_clean) == ("already landed", 1, False)
    assert "--again" in again.notes[-1]


def test_resumed_file_counts_what_the_interrupted_run_refused(
    btc_rows: list[Row], make_zip: MakeZip, lander: Lander, rejects: Path
) -> None:
    bad = (*btc_rows[0][:4], "noon", *btc_rows[0][5:])
    path = make_zip([bad, *btc_rows[1:2000]])
    options = Options("binance", block_bytes=50_000)

    def kill(_report: FileReport, _bytes: int) -> None:
        raise KeyboardInterrupt

    with RejectLog(rejects) as log, pytest.raises(KeyboardInterrupt):
        backfill_files([path], options, lander, log, on_progress=kill)
    (report,) = run(lander, rejects, path, options=options)
    assert (report.status, report.rejected, report.is_clean) == ("landed", 1, False)


@pytest.mark.parametrize("held", [True, False])
def test_short_file_with_price_and_quantity_exchanged_is_known_by_the_prices_in_the_lake(
    btc_rows: list[Row], make_zip: MakeZip, lander: Lander, rejects: Path, held: bool
) -> None:
    if held:
        run(lander, rejects, make_zip(btc_rows[100:200]))
    rows = [tuple(row[at] for at in (0, 2, 1, 3, 4, 5, 6)) for row in btc_rows[:20]]
    (report,) = run(lander, rejects, make_zip(rows, "BTCUSDT-trades-2024-08"))
    assert report.status == ("refused" if held else "landed")
    assert ("look exchanged" in str(report.problem)) is held


def test_one_column_cannot_be_two_of_ours(lander: Lander, rejects: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,price,qty,time,side\n1,2,3,1723111200000,buy\n")
    options = Options("binance", "BTCUSDT", mapping={"price": "qty"})
    (report,) = run(lander, rejects, path, options=options)
    assert "column 'qty' is to be both quantity and price" in str(report.problem)
