"""The lake's base tables. Bars and liquidity tables belong to dbt and are not here."""

from __future__ import annotations

from typing import Final

VERSION: Final = 1
"""Raised with every change to STATEMENTS; each statement may run again on an older lake."""

_TICKS = """
CREATE TABLE IF NOT EXISTS raw.ticks (
    venue          VARCHAR   NOT NULL,
    symbol         VARCHAR   NOT NULL,
    trade_id       BIGINT    NOT NULL,
    ts             TIMESTAMP NOT NULL,  -- exchange trade time, UTC
    received_at    TIMESTAMP NOT NULL,  -- when the frame reached us, UTC
    price          DOUBLE    NOT NULL,  -- quote currency per unit of base
    quantity       DOUBLE    NOT NULL,  -- base currency
    is_buyer_maker BOOLEAN   NOT NULL   -- true: the seller was the aggressor
)
"""

# One row per gap and state: rows are appended, the newest `recorded_at` of a gap holds.
_GAPS = """
CREATE TABLE IF NOT EXISTS raw.capture_gaps (
    venue            VARCHAR   NOT NULL,
    symbol           VARCHAR   NOT NULL,
    first_id         BIGINT    NOT NULL,  -- first missing trade id
    last_id          BIGINT    NOT NULL,  -- last missing trade id
    detected_at      TIMESTAMP NOT NULL,
    cause            VARCHAR   NOT NULL,
    status           VARCHAR   NOT NULL,  -- open | repaired | venue_hole
    repaired_at      TIMESTAMP,
    trades_recovered BIGINT    NOT NULL
)
"""

_SESSIONS = """
CREATE TABLE IF NOT EXISTS raw.capture_sessions (
    session_id      VARCHAR   NOT NULL,
    writer          VARCHAR   NOT NULL,
    venue           VARCHAR   NOT NULL,
    url             VARCHAR   NOT NULL,
    symbols         VARCHAR[] NOT NULL,
    connected_at    TIMESTAMP NOT NULL,
    disconnected_at TIMESTAMP,
    reason          VARCHAR,
    trades          BIGINT    NOT NULL
)
"""

_COMMITS = """
CREATE TABLE IF NOT EXISTS raw.commits (
    writer       VARCHAR   NOT NULL,
    sequence     BIGINT    NOT NULL,
    committed_at TIMESTAMP NOT NULL,
    rows         BIGINT    NOT NULL
)
"""

STATEMENTS: Final = (
    "CREATE SCHEMA IF NOT EXISTS raw",
    "CREATE SCHEMA IF NOT EXISTS bars",
    "CREATE SCHEMA IF NOT EXISTS liquidity",
    "CREATE SCHEMA IF NOT EXISTS analytics",
    "CALL lake.set_option('parquet_compression', 'zstd')",
    "CALL lake.set_option('target_file_size', '128MB')",
    "CALL lake.set_option('data_inlining_row_limit', 0)",
    _TICKS,
    # day() alone would be the day of the month.
    "ALTER TABLE raw.ticks SET PARTITIONED BY (year(ts), month(ts), day(ts))",
    "ALTER TABLE raw.ticks SET SORTED BY (symbol ASC, ts ASC, trade_id ASC)",
    _GAPS,
    _SESSIONS,
    _COMMITS,
)
