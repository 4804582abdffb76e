"""A batch whose past nobody vouches for is compared with the lake that it lands in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import duckdb
import pytest
from test_landing import SEALED_US, batch

from quant_pipeline import lake
from quant_pipeline.settings import Settings
from streaming.batch import Batch
from streaming.fit import Fitted, fit
from streaming.gaps import LONG_ABSENCE, GapChanges, GapRow
from streaming.landing import Landing

HELD = range(10)


def row(first: int, last: int, status: str = "open") -> GapRow:
    return GapRow("BTCUSDT", first, last, 1, "stream", status, None, 0)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def connection(make_lake: Callable[[str], Settings]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A lake with BTCUSDT 0-9 and, on record, a venue hole at 12-13. Read it, never write it."""
    settings = make_lake("fit")
    landing = Landing(settings, "binance")
    landing.commit(
        batch(0, HELD.start, len(HELD), GapChanges((), (row(12, 13, "venue_hole"),))),
        may_be_landed=False,
    )
    landing.close()
    with lake.connect(read_only=True, settings=settings) as opened:
        yield opened


def fitted(connection: duckdb.DuckDBPyConnection, made: Batch, resume_max_s: int = 60) -> Fitted:
    return fit(connection, "binance", made, cause="restart", resume_max_us=resume_max_s * 1_000_000)


def ids(result: Fitted) -> list[int]:
    trade_ids: list[int] = result.batch.ticks["trade_id"].to_pylist()
    return trade_ids


def spans(result: Fitted) -> list[tuple[int, int]]:
    assert result.batch.gaps.rows[len(result.batch.gaps.rows) - len(result.declared) :] == (
        result.declared
    )
    return [(gap.first_id, gap.last_id) for gap in result.declared]


def test_what_continues_the_lake_is_left_as_it_is(connection: duckdb.DuckDBPyConnection) -> None:
    made = batch(1, 10, 2)
    assert fitted(connection, made) == Fitted(made)


def test_trades_that_the_lake_holds_are_left_out(connection: duckdb.DuckDBPyConnection) -> None:
    result = fitted(connection, batch(1, 5, 7))
    assert (ids(result), spans(result)) == ([10, 11], [])


def test_ids_between_the_lake_and_the_batch_are_a_gap(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    result = fitted(connection, batch(1, 15, 3))
    assert ids(result) == [15, 16, 17]
    assert spans(result) == [(10, 11), (14, 14)]  # 12 and 13 are the venue's own
    assert {(gap.cause, gap.status) for gap in result.declared} == {("restart", "open")}
    assert result.declared[0].detected_us == SEALED_US


def test_a_gap_that_the_batch_declares_is_not_declared_again(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert spans(fitted(connection, batch(1, 15, 3, GapChanges((), (row(10, 14),))))) == []


def test_a_repair_whose_trades_are_nowhere_is_a_gap(connection: duckdb.DuckDBPyConnection) -> None:
    made = batch(1, 10, 2, GapChanges((), (row(8, 10, "repaired"), row(14, 16, "repaired"))))
    assert spans(fitted(connection, made)) == [(14, 16)]


def test_a_long_absence_is_called_so(connection: duckdb.DuckDBPyConnection) -> None:
    result = fitted(connection, batch(1, 15, 3), resume_max_s=-1)
    assert {gap.cause for gap in result.declared} == {LONG_ABSENCE}


def test_a_symbol_new_to_the_lake_begins_with_its_first_trade(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    made = batch(1, 500, 3)
    names = made.ticks["symbol"].combine_chunks()
    index = made.ticks.schema.get_field_index("symbol")
    renamed = type(names).from_arrays(names.indices, ["ETHUSDT"])
    new = Batch("w1", 1, SEALED_US, made.ticks.set_column(index, made.ticks.field(index), renamed))
    assert fitted(connection, new) == Fitted(new)
