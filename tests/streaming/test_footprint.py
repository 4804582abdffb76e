"""The worker's process lands ticks without pandas, which its libraries import unasked."""

from __future__ import annotations

import subprocess
import sys

_LANDS = """
import sys

from streaming.footprint import keep_pandas_out

keep_pandas_out()
import duckdb
import numpy as np

from streaming.batch import to_table, freeze
from streaming.intake import Records
from streaming.worker import Worker  # and all that it imports

connection = duckdb.connect()
connection.register("ticks", to_table(freeze(Records()), "binance", ["BTCUSDT"]))
print(connection.execute("select count(*) from ticks where symbol <> ?", ["x"]).fetchone())
assert "pandas" not in sys.modules
"""


def test_ticks_become_rows_without_pandas() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LANDS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(0,)\n"


def test_it_is_too_late_once_pandas_is_there() -> None:
    late = "import pandas; from streaming.footprint import keep_pandas_out; keep_pandas_out()"
    done = subprocess.run([sys.executable, "-c", late], capture_output=True, text=True, check=False)
    assert "pandas is imported already" in done.stderr
