"""Which column of a file is what: by the archive's order, by a header, or as the user says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from quant_pipeline.backfill.sources import UnreadableFileError

Kind = Literal["trades", "agg_trades"]

# The exchange's spot archive has no header; these are its orders.
_ARCHIVE_COLUMNS: Final[dict[Kind, tuple[str, ...]]] = {
    "trades": ("trade_id", "price", "quantity", "quote", "time", "is_buyer_maker", "best_match"),
    "agg_trades": (
        *("agg_id", "price", "quantity", "first_id", "last_id", "time"),
        *("is_buyer_maker", "best_match"),
    ),
}
_NEEDED: Final[dict[Kind, tuple[str, ...]]] = {
    "trades": ("trade_id", "price", "quantity", "time"),
    "agg_trades": ("agg_id", "first_id", "last_id", "price", "quantity", "time"),
}
_ALIASES: Final = {
    "trade_id": ("trade_id", "id", "tradeid", "tid", "t"),
    "agg_id": ("agg_trade_id", "agg_id", "aggtradeid", "a"),
    "first_id": ("first_trade_id", "first_id", "firstid", "firsttradeid", "f"),
    "last_id": ("last_trade_id", "last_id", "lastid", "lasttradeid", "l"),
    "price": ("price", "p", "px"),
    "quantity": ("quantity", "qty", "amount", "size", "q"),
    "quote": ("quote_qty", "quoteqty", "quote_quantity", "quote"),
    "time": ("time", "timestamp", "transact_time", "ts", "datetime"),
    "is_buyer_maker": ("is_buyer_maker", "isbuyermaker", "m"),
    "side": ("side", "aggressor_side", "taker_side"),
    "best_match": ("is_best_match", "isbestmatch", "best_match"),
    "symbol": ("symbol", "instrument"),
}
_ARCHIVE_NAME = re.compile(
    r"(?P<symbol>[A-Z0-9]{2,20})-(?P<kind>trades|aggTrades)-(?P<period>\d{4}-\d{2}(?:-\d{2})?)"
    r"\.(?i:zip|csv|csv\.gz)"
)
_OTHER_ARCHIVE_NAME = re.compile(
    r"[A-Z0-9]{2,20}-\d+[smhdwM]o?-\d{4}-\d{2}(?:-\d{2})?\.(?i:zip|csv)"
)


@dataclass(frozen=True)
class ArchiveName:
    """What the name of one of the exchange's archive files says: `BTCUSDT-trades-2024-08.zip`."""

    symbol: str
    kind: Kind
    period: str

    @classmethod
    def parse(cls, path: Path) -> ArchiveName | None:
        """Read the file's name; None if it is not an archive name of (aggregate) trades."""
        found = _ARCHIVE_NAME.fullmatch(path.name)
        if found is None:
            if _OTHER_ARCHIVE_NAME.fullmatch(path.name):
                raise UnreadableFileError(
                    f"{path} holds klines, which are bars already; give the trades file of that day"
                )
            return None
        kind: Kind = "trades" if found["kind"] == "trades" else "agg_trades"
        return cls(found["symbol"], kind, found["period"])


@dataclass(frozen=True)
class Layout:
    """Position of each column in a row, and how many columns a row has."""

    positions: Mapping[str, int]
    width: int
    has_header: bool


def archive_layout(kind: Kind) -> Layout:
    """The order of the exchange's own files, which have no header."""
    columns = _ARCHIVE_COLUMNS[kind]
    return Layout({name: at for at, name in enumerate(columns)}, len(columns), has_header=False)


def detect(
    path: Path,
    first_row: Sequence[str],
    *,
    kind: Kind,
    mapping: Mapping[str, str],
    is_archive: bool,
    always_header: bool = False,
) -> Layout:
    """Find the columns of a file from its first row.

    Args:
        path: named in errors.
        first_row: the first line's fields, or a Parquet file's column names.
        kind: what the rows are.
        mapping: ours → theirs, where theirs is a name in the header or a position from 0.
        is_archive: the file is named as the exchange's archive names its files.
        always_header: `first_row` are names, whatever they look like.

    Raises:
        UnreadableFileError: a column that is needed is not found, or found twice.
    """
    names = [field.lstrip("\ufeff").strip().strip('"') for field in first_row]
    has_header = always_header or not any(_is_number(name) for name in names)
    if not has_header and not mapping:
        if not is_archive:
            raise UnreadableFileError(
                f"{path} has no header ({','.join(names)[:80]!r}) and is not named as the archive "
                "names its files (BTCUSDT-trades-2024-08-08.zip), so its columns are unknown; "
                "give their positions, as in --map trade_id=0,price=1,quantity=2,time=4"
            )
        return archive_layout(kind)
    found = _by_header(path, names, mapping) if has_header else {}
    found.update(_by_mapping(path, names, mapping, has_header=has_header))
    _check_each_once(path, names, found)
    missing = [name for name in _NEEDED[kind] if name not in found]
    if not {"is_buyer_maker", "side"} & found.keys():
        missing.append("is_buyer_maker (or side)")
    if missing:
        raise UnreadableFileError(
            f"{path} has columns {', '.join(names)[:200]}: which of them is "
            f"{', which is '.join(missing)}? Say so with --map ours=theirs"
        )
    return Layout(found, len(names), has_header)


def parse_mapping(text: str) -> dict[str, str]:
    """Read `price=px,quantity=amount` or `trade_id=0,price=1`.

    Raises:
        ValueError: a part is not `ours=theirs`, ours is none of our columns, or one of them is
            named twice.
    """
    mapping: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        ours, equals, theirs = (word.strip() for word in part.partition("="))
        if not equals or not theirs:
            raise ValueError(f"{part!r} in --map is not ours=theirs, as in price=px")
        if ours not in _ALIASES:
            raise ValueError(f"{ours!r} in --map is not one of {', '.join(_ALIASES)}")
        if ours in mapping:
            raise ValueError(f"--map names {ours} twice: {mapping[ours]!r} and {theirs!r}")
        for other, column in mapping.items():
            if column == theirs:
                raise ValueError(f"--map gives column {theirs!r} to both {other} and {ours}")
        mapping[ours] = theirs
    return mapping


def _check_each_once(path: Path, names: Sequence[str], found: Mapping[str, int]) -> None:
    takers: dict[int, str] = {}
    for ours, at in found.items():
        other = takers.setdefault(at, ours)
        if other != ours:
            raise UnreadableFileError(
                f"{path}: column {names[at]!r} is to be both {other} and {ours}; "
                f"name another with --map {other}=…"
            )


def _by_header(path: Path, names: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for at, name in enumerate(names):
        for ours, aliases in _ALIASES.items():
            if name.lower() in aliases and ours not in mapping:
                if ours in found:
                    raise UnreadableFileError(
                        f"{path} has two columns for {ours}: {names[found[ours]]!r} and {name!r}; "
                        f"choose with --map {ours}=…"
                    )
                found[ours] = at
    return found


def _by_mapping(
    path: Path, names: Sequence[str], mapping: Mapping[str, str], *, has_header: bool
) -> dict[str, int]:
    found = {}
    for ours, theirs in mapping.items():
        if has_header and theirs in names:
            found[ours] = names.index(theirs)
        elif theirs.isdigit() and int(theirs) < len(names):
            found[ours] = int(theirs)
        else:
            raise UnreadableFileError(
                f"{path} has no column {theirs!r} for {ours}; it has {', '.join(names)[:200]}"
            )
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
