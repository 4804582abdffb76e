"""The lake's base tables. Bars and liquidity tables belong to dbt and are not here."""

from __future__ import annotations

from typing import Final

VERSION: Final = 9
"""Raised with every change to STATEMENTS; each statement may run again on an older lake."""

WORKER_STOPPED: Final = "worker stopped"
"""`reason` of a capture session whose worker was told to stop; any other is a loss or a renewal."""

MAX_AMOUNT: Final = 1e14
"""Prices and quantities are below this, so that sums of whole 1e-8 units of quote fit 128 bits."""

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

# One row per gap: it is inserted `open`, in the same commit as the first trade beyond the gap, and
# replaced when all of it is repaired or found to be the venue's own hole (then by several rows, if
# both happened). Every hole in raw.ticks has a row here.
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

# Published statistics: rows are appended and never changed. `lake_snapshot` names the state of the
# lake that they were computed from and `code_version` the code, so that any row can be recomputed.
_PROVENANCE = """
    taken_at      TIMESTAMP NOT NULL,  -- UTC
    venue         VARCHAR   NOT NULL,
    y             VARCHAR   NOT NULL,  -- first leg, the regressand
    x             VARCHAR   NOT NULL,  -- second leg
    timeframe     VARCHAR   NOT NULL,
    window_start  TIMESTAMP NOT NULL,  -- first bar, inclusive
    window_end    TIMESTAMP NOT NULL,  -- last bar, inclusive
    bars          BIGINT    NOT NULL,
    lake_snapshot BIGINT    NOT NULL,
    code_version  VARCHAR   NOT NULL,
"""

# What else it takes to recompute a published row (`quant recompute`). At the end of each table, and
# NULL in rows written before the columns were there.
PARAMETERS: Final = {
    "read_from": "TIMESTAMP",  # bars were read from here, inclusive
    "read_to": "TIMESTAMP",  # to here, exclusive
    "liquidity_filter": "BOOLEAN",  # whether thin bars were taken out
    "removed_y": "BIGINT",  # thin bars taken out of y
    "removed_x": "BIGINT",  # and of x
    "flags_snapshot": "BIGINT",  # newest ticks in the bars that liquidity_flags judged
    "spreads_snapshot": "BIGINT",  # newest ticks in the hourly spreads it judged them by
}
"""Columns of published statistics that say how their bars were read, in order, with their types."""

_PARAMETER_COLUMNS = ", ".join(f"{name} {kind}" for name, kind in PARAMETERS.items())
_PUBLISHED: Final = ("pair_snapshots", "adf_snapshots", "correlation_snapshots")

_PAIR_SNAPSHOTS = f"""
CREATE TABLE IF NOT EXISTS analytics.pair_snapshots ({_PROVENANCE}
    day            DATE    NOT NULL,  -- UTC date the statistics describe
    rolling_window BIGINT  NOT NULL,  -- bars
    metrics        MAP(VARCHAR, DOUBLE) NOT NULL,  -- headline statistics; undefined ones are NULL
    {_PARAMETER_COLUMNS}
)
"""

_ADF_SNAPSHOTS = f"""
CREATE TABLE IF NOT EXISTS analytics.adf_snapshots ({_PROVENANCE}
    series        VARCHAR   NOT NULL,  -- a leg's symbol (ADF), or 'spread' (Engle-Granger)
    trend         VARCHAR   NOT NULL,
    statistic     DOUBLE,
    pvalue        DOUBLE,
    lags          BIGINT,
    observations  BIGINT,
    critical_1pct  DOUBLE,
    critical_5pct  DOUBLE,
    critical_10pct DOUBLE,
    {_PARAMETER_COLUMNS}
)
"""

_CORRELATION_SNAPSHOTS = f"""
CREATE TABLE IF NOT EXISTS analytics.correlation_snapshots ({_PROVENANCE}
    correlation  DOUBLE,  -- Pearson, log returns of bars
    lower_95     DOUBLE,  -- Fisher interval
    upper_95     DOUBLE,
    observations BIGINT NOT NULL,
    {_PARAMETER_COLUMNS}
)
"""

# One row per episode: inserted when it is raised, completed when it is cleared. At most one row of
# a rule and subject has no cleared_at. *_delivery: waiting | sent | off (nowhere to send it).
_ALERTS = """
CREATE TABLE IF NOT EXISTS analytics.alerts (
    alert_id         VARCHAR   NOT NULL,
    venue            VARCHAR   NOT NULL,
    rule             VARCHAR   NOT NULL,
    subject          VARCHAR   NOT NULL,  -- pair, symbol, 'stream', or a job and its partition
    severity         VARCHAR   NOT NULL,  -- info | warning | critical
    raised_at        TIMESTAMP NOT NULL,  -- when it was noticed, UTC
    observed_at      TIMESTAMP NOT NULL,  -- the market's or the run's time of the value, UTC
    value            DOUBLE    NOT NULL,
    threshold        DOUBLE    NOT NULL,
    message          VARCHAR   NOT NULL,
    cleared_at       TIMESTAMP,
    cleared_value    DOUBLE,
    cleared_message  VARCHAR,
    raised_delivery  VARCHAR   NOT NULL,
    cleared_delivery VARCHAR,
    delivered_to     VARCHAR[] NOT NULL,  -- 'raised' or 'cleared', and a digest of the address
    attempts         BIGINT    NOT NULL,  -- in vain, since the last success
    attempted_at     TIMESTAMP,
    delivery_error   VARCHAR
)
"""

# One row per ordered pair of a universe scan: q-values count every test of the same `taken_at`.
_UNIVERSE_SCANS = """
CREATE TABLE IF NOT EXISTS analytics.universe_scans (
    taken_at      TIMESTAMP NOT NULL,  -- UTC
    venue         VARCHAR   NOT NULL,
    day           DATE      NOT NULL,  -- last UTC date of the window
    days          BIGINT    NOT NULL,
    timeframe     VARCHAR   NOT NULL,
    bars          BIGINT    NOT NULL,
    symbols       BIGINT    NOT NULL,
    tests         BIGINT    NOT NULL,  -- that the q-values account for
    y             VARCHAR   NOT NULL,
    x             VARCHAR   NOT NULL,
    statistic     DOUBLE,              -- Engle-Granger; NULL where it could not be tested
    pvalue        DOUBLE,
    qvalue        DOUBLE,              -- Benjamini-Hochberg
    qvalue_by     DOUBLE,              -- Benjamini-Yekutieli: holds under any dependence
    status        VARCHAR   NOT NULL,  -- why there is no test, or 'ok'
    lake_snapshot BIGINT    NOT NULL,
    code_version  VARCHAR   NOT NULL
)
"""

# One row per symbol, timeframe and run of `quant reconcile`.
_RECONCILIATIONS = """
CREATE TABLE IF NOT EXISTS analytics.reconciliations (
    taken_at      TIMESTAMP NOT NULL,  -- UTC
    venue         VARCHAR   NOT NULL,
    symbol        VARCHAR   NOT NULL,
    timeframe     VARCHAR   NOT NULL,
    window_start  TIMESTAMP NOT NULL,  -- first bar, inclusive
    window_end    TIMESTAMP NOT NULL,  -- exclusive
    bars          BIGINT    NOT NULL,  -- that either side has
    differences   BIGINT    NOT NULL,  -- fields of bars that differ
    fields        VARCHAR   NOT NULL,  -- which, with their counts
    unrepaired    BIGINT    NOT NULL,  -- trade ids known to be missing when something differed
    lake_snapshot BIGINT    NOT NULL,
    code_version  VARCHAR   NOT NULL
)
"""

# An aggregate trade is not a trade: the sizes inside first_id..last_id are unknown.
_AGG_TRADES = """
CREATE TABLE IF NOT EXISTS raw.agg_trades (
    venue          VARCHAR   NOT NULL,
    symbol         VARCHAR   NOT NULL,
    agg_id         BIGINT    NOT NULL,
    first_id       BIGINT    NOT NULL,  -- first trade id it sums up
    last_id        BIGINT    NOT NULL,  -- last trade id it sums up
    ts             TIMESTAMP NOT NULL,  -- exchange trade time, UTC
    received_at    TIMESTAMP NOT NULL,
    price          DOUBLE    NOT NULL,
    quantity       DOUBLE    NOT NULL,
    is_buyer_maker BOOLEAN   NOT NULL
)
"""

# A row per commit of a file backfill, written in the commit itself: where a run goes on.
_BACKFILLS = """
CREATE TABLE IF NOT EXISTS raw.backfills (
    source         VARCHAR   NOT NULL,  -- digest of the file and of how it is read
    name           VARCHAR   NOT NULL,  -- the file's name
    venue          VARCHAR   NOT NULL,
    symbol         VARCHAR   NOT NULL,
    kind           VARCHAR   NOT NULL,  -- trades | agg_trades
    rows_read      BIGINT    NOT NULL,  -- of the file so far
    rows_new       BIGINT    NOT NULL,  -- in this commit
    rows_duplicate BIGINT    NOT NULL,
    rows_rejected  BIGINT    NOT NULL,
    finished       BOOLEAN   NOT NULL,
    committed_at   TIMESTAMP NOT NULL
)
"""

# A row per day that retention exported and removed from raw.ticks. Its bars are final: nothing may
# rebuild them from the ticks that arrive for that day later, which are only the late ones.
_ARCHIVED_DAYS = """
CREATE TABLE IF NOT EXISTS raw.archived_days (
    day         DATE      NOT NULL,
    archived_at TIMESTAMP NOT NULL,
    path        VARCHAR   NOT NULL,
    ticks       BIGINT    NOT NULL
)
"""

# A row per day that was brought back. Its ticks have the snapshot of this row: which of them an
# older snapshot held is not known any more.
_RESTORED_DAYS = """
CREATE TABLE IF NOT EXISTS raw.restored_days (
    day         DATE      NOT NULL,
    restored_at TIMESTAMP NOT NULL
)
"""

# A row per search for trades that landed twice; the one with the newest snapshot counts.
_COPY_SEARCHES = """
CREATE TABLE IF NOT EXISTS raw.copy_searches (
    as_of_snapshot BIGINT NOT NULL,  -- ticks of this snapshot and older ones were looked through
    copied_days    DATE[] NOT NULL   -- days (UTC) that hold copies, of all ticks until then
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
    # DuckDB 1.5.5 cannot write version 2 where strings repeat within a list or map, as in
    # raw.capture_sessions and analytics.pair_snapshots: version 2 is for ticks and bars only.
    "CALL lake.set_option('parquet_version', 1)",
    _TICKS,
    # day() alone would be the day of the month.
    "ALTER TABLE raw.ticks SET PARTITIONED BY (year(ts), month(ts), day(ts))",
    "ALTER TABLE raw.ticks SET SORTED BY (symbol ASC, ts ASC, trade_id ASC)",
    _GAPS,
    _SESSIONS,
    _COMMITS,
    _PAIR_SNAPSHOTS,
    _ADF_SNAPSHOTS,
    _CORRELATION_SNAPSHOTS,
    _UNIVERSE_SCANS,
    _RECONCILIATIONS,
    _ALERTS,
    *(  # for lakes that are older than the columns
        f"ALTER TABLE analytics.{table} ADD COLUMN IF NOT EXISTS {name} {kind}"
        for table in _PUBLISHED
        for name, kind in PARAMETERS.items()
    ),
    _AGG_TRADES,
    "ALTER TABLE raw.agg_trades SET PARTITIONED BY (year(ts), month(ts), day(ts))",
    "ALTER TABLE raw.agg_trades SET SORTED BY (symbol ASC, ts ASC, agg_id ASC)",
    _BACKFILLS,
    _ARCHIVED_DAYS,
    _RESTORED_DAYS,
    _COPY_SEARCHES,
)

TABLE_OPTIONS: Final = (
    # Delta-encoded ids and times: a third less processor time to read.
    "CALL lake.set_option('parquet_version', 2, schema => 'raw', table_name => 'ticks')",
    "CALL lake.set_option('parquet_version', 2, schema => 'raw', table_name => 'agg_trades')",
    "CALL lake.set_option('parquet_version', 2, schema => 'bars')",
    # Large enough for a dictionary of quantities: 9.5 bytes a tick instead of 13.
    "CALL lake.set_option('parquet_row_group_size', 524288,"
    " schema => 'raw', table_name => 'ticks')",
)
"""Run after the commit of STATEMENTS: DuckLake sets no option of a table that is not committed."""
