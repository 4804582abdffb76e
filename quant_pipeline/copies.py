"""Days of ticks of which a trade is in the lake twice: looked for once, not at every rebuild.

A trade may land more than once (two writers, a backfill over a captured hour), and bars count it
once. To look for copies is an eighth of a rebuild's work, and ticks never change. So maintenance
looks through what has landed since it last did, and a rebuild looks only where there is something
newer: see `slice_is_searched` in dbt_project/macros/slices.sql.
"""

from __future__ import annotations

from datetime import date

import duckdb

from quant_pipeline import lake

# As in dbt_project/macros/distinct_trades.sql: a bit per id in blocks of 64; fewer bits than rows
# are copies. Blocks that share a number are taken for one, which calls a day copied that is not.
_HAS_COPIES = """
select exists (
    select 1
    from raw.ticks
    where ts >= $day and ts < $day::date + interval '1 day'
    group by xor(hash(venue, symbol), cast(trade_id >> 6 as ubigint))
    having bit_count(bit_or(cast(1 as ubigint) << cast(trade_id & 63 as ubigint))) < count(*)
)
"""


def search(connection: duckdb.DuckDBPyConnection) -> tuple[date, ...]:
    """Look for copies on every day that has ticks which no search has seen.

    One transaction: what lands meanwhile is for the next search. Run one at a time.

    Args:
        connection: the lake, read-write.

    Returns:
        All days known to hold copies, in order.
    """
    with lake.transaction(connection):
        as_of = lake.current_snapshot(connection)
        last = connection.execute(
            "select as_of_snapshot, copied_days from raw.copy_searches"
            " order by as_of_snapshot desc limit 1"
        ).fetchone()
        seen, copied = (-1, []) if last is None else last
        days = [
            day
            for (day,) in connection.execute(
                "select distinct cast(ts as date) from raw.ticks where snapshot_id > ?", [seen]
            ).fetchall()
        ]
        found = {day for day in days if _has_copies(connection, day)}
        known = tuple(sorted(found | (set(copied) - set(days))))
        if days:
            connection.execute("insert into raw.copy_searches values (?, ?)", [as_of, list(known)])
    return known


def _has_copies(connection: duckdb.DuckDBPyConnection, day: date) -> bool:
    return connection.execute(_HAS_COPIES, {"day": day}).fetchone() == (True,)
