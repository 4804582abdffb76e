"""A gap lives from suspicion to its final rows, and every missing id is in exactly one of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.continuity import Continuity, Span
from streaming.gaps import GapBook, GapKey, GapRow

WINDOW_US = 500_000


def book(*names: str, last_seen: int = 9) -> tuple[GapBook, dict[str, Continuity]]:
    continuities = {name: Continuity(last_seen) for name in names or ("BTCUSDT",)}
    return GapBook(continuities, WINDOW_US), continuities


def arrive(gaps: GapBook, continuity: Continuity, trade_id: int, now_us: int) -> None:
    seen = continuity.observe(trade_id)
    if seen.gap is not None:
        gaps.suspect("BTCUSDT", seen.gap, now_us, "stream")


def test_a_late_trade_inside_the_window_is_no_gap() -> None:
    gaps, continuities = book()
    arrive(gaps, continuities["BTCUSDT"], 11, now_us=0)
    assert gaps.holds() == {"BTCUSDT": 10}
    arrive(gaps, continuities["BTCUSDT"], 10, now_us=200_000)
    assert gaps.declare_due(300_000) == []
    assert gaps.holds() == {}
    assert not gaps.settle(300_000)
    assert gaps.reordered_trades == 1


def test_a_gap_is_recorded_open_and_then_replaced() -> None:
    gaps, continuities = book()
    arrive(gaps, continuities["BTCUSDT"], 13, now_us=0)
    assert [gap.span for gap in gaps.declare_due(WINDOW_US)] == [Span(10, 12)]
    assert gaps.settle(WINDOW_US).rows == (GapRow("BTCUSDT", 10, 12, 0, "stream", "open", None, 0),)
    continuities["BTCUSDT"].discard(10, 12)
    changes = gaps.settle(900_000)
    assert changes.replaced == (GapKey("BTCUSDT", 10, 12),)
    assert changes.rows == (GapRow("BTCUSDT", 10, 12, 0, "stream", "repaired", 900_000, 3),)
    assert gaps.open_gaps() == ()


def test_a_gap_repaired_before_its_first_commit_is_one_row() -> None:
    gaps, continuities = book()
    arrive(gaps, continuities["BTCUSDT"], 12, now_us=0)
    gaps.declare_due(WINDOW_US)
    continuities["BTCUSDT"].discard(10, 11)
    changes = gaps.settle(WINDOW_US)
    assert changes.replaced == ()
    assert [row.status for row in changes.rows] == ["repaired"]


def test_a_venue_hole_inside_a_gap_is_a_row_of_its_own() -> None:
    gaps, continuities = book()
    arrive(gaps, continuities["BTCUSDT"], 20, now_us=0)
    gaps.declare_due(WINDOW_US)
    gaps.settle(WINDOW_US)
    gaps.admit_hole("BTCUSDT", Span(13, 14))
    continuities["BTCUSDT"].discard(10, 19)
    rows = gaps.settle(WINDOW_US).rows
    assert [(row.first_id, row.last_id, row.status, row.trades_recovered) for row in rows] == [
        (10, 12, "repaired", 3),
        (13, 14, "venue_hole", 0),
        (15, 19, "repaired", 5),
    ]
    assert (gaps.repaired_trades, gaps.hole_trades) == (8, 2)


def test_a_gap_left_open_by_an_earlier_run_is_replaced_when_repaired() -> None:
    gaps, continuities = book()
    row = GapRow("BTCUSDT", 3, 5, 1, "stream", "open", None, 0)
    continuities["BTCUSDT"].add_missing(3, 5)
    gaps.restore(row)
    assert not gaps.settle(0)
    continuities["BTCUSDT"].discard(3, 5)
    assert gaps.settle(7).replaced == (GapKey("BTCUSDT", 3, 5),)


@given(
    arrivals=st.lists(st.integers(10, 60), min_size=1, max_size=60),
    holes=st.sets(st.integers(10, 60), max_size=8),
)
def test_final_rows_cover_each_declared_id_once(arrivals: list[int], holes: set[int]) -> None:
    gaps, continuities = book()
    continuity = continuities["BTCUSDT"]
    live = [i for i in arrivals if i not in holes]
    for now, trade_id in enumerate(live):
        arrive(gaps, continuity, trade_id, now)
    gaps.declare_due(2**40)
    missing = {i for span in continuity.missing() for i in range(span.first, span.last + 1)}
    for i in sorted(missing & holes):
        gaps.admit_hole("BTCUSDT", Span(i, i))
    for i in missing - holes:
        continuity.discard(i, i)
    rows = gaps.settle(2**40).rows
    covered = [(i, row.status) for row in rows for i in range(row.first_id, row.last_id + 1)]
    assert sorted(i for i, _ in covered) == sorted(missing)
    assert {i for i, status in covered if status == "venue_hole"} == missing & holes
