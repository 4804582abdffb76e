"""Archive files made of recorded trades, and a lake to land them in."""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

import streaming.exchange
from quant_pipeline import lake
from quant_pipeline.backfill.landing import Lander
from quant_pipeline.settings import Settings

RECORDING = Path(streaming.exchange.__file__).parent / "recordings" / "binance_spot_20240808"

Row = tuple[str, ...]
"""id, price, qty, quote qty, time (ms), is buyer maker, is best match: an archive row."""


@pytest.fixture(scope="session")
def btc_rows() -> list[Row]:
    """The recorded BTCUSDT trades of 2024-08-08 (UTC), as the archive would list them."""
    day_ends_ms = 1723161600000
    rows = []
    for path in sorted(RECORDING.glob("btcusdt_*.gz")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            frame = json.loads(line.split(b" ", 1)[1])
            trade = frame["data"]
            if frame["stream"] != "btcusdt@trade" or trade["T"] >= day_ends_ms:
                continue
            quote = f"{float(trade['p']) * float(trade['q']):.8f}"
            rows.append(
                (
                    *(str(trade["t"]), trade["p"], trade["q"], quote, str(trade["T"])),
                    *(str(trade["m"]), "True"),
                )
            )
    return rows


@pytest.fixture
def make_zip(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as an archive zip, with its `.CHECKSUM`."""

    def make(
        rows: Sequence[Row], name: str = "BTCUSDT-trades-2024-08-08", *, checked: bool = True
    ) -> Path:
        path = tmp_path / f"{name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.csv", "".join(",".join(row) + "\n" for row in rows))
        if checked:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            (tmp_path / f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")
        return path

    return make


@pytest.fixture(scope="module")
def module_connection(make_lake: Callable[[str], Settings]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A lake for all tests of a module."""
    with lake.connect(settings=make_lake("backfill")) as connection:
        yield connection


@pytest.fixture
def connection(
    module_connection: duckdb.DuckDBPyConnection,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The module's lake, its tables emptied afterwards."""
    yield module_connection
    for table in ("ticks", "agg_trades", "backfills", "archived_days", "capture_gaps"):
        module_connection.execute(f"delete from raw.{table}")


@pytest.fixture
def lander(connection: duckdb.DuckDBPyConnection) -> Lander:
    return Lander(connection, clock=lambda: datetime.fromisoformat("2024-08-10T12:00"))
