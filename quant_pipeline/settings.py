"""Every setting of the pipeline, in one model.

Values come, first match wins, from `QUANT_*` environment variables, from `quant.toml` at the
repository root (or the file named by `QUANT_CONFIG`), and from the defaults here. No other module
reads `QUANT_*`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from datetime import date
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

ROOT = Path(__file__).resolve().parents[1]
"""The repository root: generated state is anchored here, whatever the working folder is."""

Timeframe = Literal["1s", "1m", "5m", "1h"]
TIMEFRAME_SECONDS: dict[Timeframe, int] = {"1s": 1, "1m": 60, "5m": 300, "1h": 3600}

AlertRule = Literal[
    "zscore",
    "correlation_breakdown",
    "cointegration_gained",
    "cointegration_lost",
    "spread_widening",
    "volume_spike",
    "stale_feed",
    "open_gap",
    "failed_run",
]

_SYMBOL = re.compile(r"[A-Z0-9]{2,20}")
_PREFIX = "QUANT_"
_CONFIG_VARIABLE = "QUANT_CONFIG"


class SettingsError(ValueError):
    """A setting is unknown or malformed; the message names it, its value and the remedy."""


class Pair(NamedTuple):
    """Two symbols: the first leg is regressed on the second."""

    y: str
    x: str

    def __str__(self) -> str:
        return f"{self.y}/{self.x}"

    @property
    def key(self) -> str:
        """The pair as it stands in partition keys and file names, where a slash cannot."""
        return f"{self.y}-{self.x}"

    @classmethod
    def parse(cls, text: str) -> Pair:
        """Read `BTCUSDT/ETHUSDT` or `BTCUSDT-ETHUSDT`; raise ValueError on anything else."""
        legs = re.split(r"[/-]", text)
        if len(legs) != 2 or legs[0] == legs[1]:
            raise ValueError(f"pair {text!r} is not two different symbols, as in 'BTCUSDT/ETHUSDT'")
        return cls(check_symbol(legs[0]), check_symbol(legs[1]))


def check_symbol(symbol: str) -> str:
    """Return `symbol` if it is a venue symbol (2-20 capitals and digits); raise ValueError if not.

    Symbols reach SQL, HTML and file names, so every entry point passes them through here.
    """
    if _SYMBOL.fullmatch(symbol):
        return symbol
    suggestion = re.sub(r"[^A-Z0-9]", "", symbol.upper())
    hint = f"; did you mean {suggestion!r}?" if _SYMBOL.fullmatch(suggestion) else ""
    raise ValueError(f"symbol {symbol!r} is not 2 to 20 capital letters or digits{hint}")


def _split(value: object) -> object:
    """Let a list setting be written as `A,B` in the environment."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _parse_pairs(value: object) -> object:
    parts = _split(value)
    if isinstance(parts, Iterable) and not isinstance(parts, str):
        return tuple(Pair.parse(part) if isinstance(part, str) else part for part in parts)
    return parts


def _parse_secrets(value: object) -> object:
    """Secrets parted by white space, for their text may hold commas; never shown in an error."""
    if isinstance(value, str):
        return tuple(SecretStr(part) for part in value.split())
    parts = value if isinstance(value, list | tuple) else ()
    if value and not (parts and all(isinstance(part, str | SecretStr) for part in parts)):
        raise ValueError('expected a list of addresses, as ["json://localhost:8080/"]')
    return tuple(part if isinstance(part, SecretStr) else SecretStr(part) for part in parts)


def _first_pair(validated: dict[str, Any]) -> tuple[Pair, ...]:
    symbols = validated.get("symbols", ())
    return (Pair(symbols[0], symbols[1]),) if len(symbols) > 1 else ()


def _anchor(path: Path) -> Path:
    path = path.expanduser()
    return path if path.is_absolute() else ROOT / path


def is_address(place: str) -> bool:
    """Whether files are kept at an address, as s3://bucket/prefix, and not in a folder."""
    return re.match(r"\w+://", place) is not None


def _anchor_folder(place: str | None) -> str | None:
    """Make a folder absolute; addresses and an empty value, which is an unset one, stay."""
    if not place:
        return place
    folder = re.sub(r"^file://(localhost)?(?=/)", "", place)
    return folder if is_address(folder) else str(_anchor(Path(folder)))


Symbol = Annotated[str, AfterValidator(check_symbol)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """The effective settings; `quant config` prints them."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", frozen=True)

    # --- where things live ---
    home: Annotated[Path, AfterValidator(_anchor)] = Field(
        default=Path("data"), description="Folder of all generated state"
    )
    catalog_dsn: str | None = Field(
        default=None,
        description="libpq DSN of a PostgreSQL catalog; unset: embedded. Password: PGPASSWORD",
    )
    data_path: Annotated[str | None, AfterValidator(_anchor_folder)] = Field(
        default=None, description="Parquet files: a folder or s3://bucket/prefix; unset: HOME/lake"
    )

    # --- what is captured ---
    venue: Literal["binance"] = Field(default="binance", description="Exchange")
    symbols: Annotated[
        tuple[Symbol, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)
    ] = Field(default=("BTCUSDT", "ETHUSDT"), description="Symbols to capture")
    ws_url: str = Field(
        default="wss://data-stream.binance.vision", description="WebSocket base address"
    )
    rest_url: str = Field(default="https://api.binance.com", description="REST base address")
    flush_interval_s: Seconds = Field(default=1.0, description="Seconds between lake commits")
    transport: Literal["websockets", "picows"] = Field(
        default="websockets", description="WebSocket library; picows: `uv sync --extra fast`"
    )
    read_coalesce_ms: Annotated[float, Field(ge=0, le=100)] = Field(
        default=5.0, description="Rest after each socket read, so that busy sockets cost less CPU"
    )

    # --- connections ---
    streams_per_connection: Annotated[int, Field(ge=1)] = Field(
        default=200, description="Symbols sharing one connection, up to the venue's limit"
    )
    connection_max_age_s: Seconds = Field(
        default=23 * 3600.0, description="Planned rollover at this age, before the venue's cut"
    )
    rollover_at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = Field(
        default=None, description="UTC time of day, HH:MM, of the planned rollover"
    )
    ping_interval_s: Seconds = Field(default=15.0, description="Seconds between pings")
    ping_timeout_s: Seconds = Field(default=10.0, description="A later pong: the peer is gone")
    reconnect_max_s: Seconds = Field(default=30.0, description="Longest wait before a reconnect")

    # --- continuity and repair ---
    reorder_window_s: Seconds = Field(
        default=0.5, description="A missing trade may be this late before it is a gap"
    )
    stale_after_s: Seconds = Field(
        default=10.0, description="Shortest silence of a symbol that is checked over REST"
    )
    resume_max_s: Seconds = Field(
        default=6 * 3600.0, description="Longer absences are left to `quant backfill`"
    )
    lake_patience_s: Seconds = Field(
        default=15.0, description="Wait for the lake at the start; then capture into the spool"
    )
    rest_weight_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.8, description="Part of the venue's REST budget that capture may use"
    )

    # --- bounds ---
    max_buffered_trades: Annotated[int, Field(ge=1000)] = Field(
        default=2_000_000, description="Trades held in memory at most; then sockets are paused"
    )
    spool_max_mb: Annotated[float, Field(gt=0)] = Field(
        default=10_000.0, description="Disk that waiting batches may take, in MB"
    )
    drain_timeout_s: Seconds = Field(
        default=20.0, description="Time to land what is buffered at shutdown; the rest is spooled"
    )

    # --- what is computed ---
    pairs: Annotated[tuple[Pair, ...], NoDecode, BeforeValidator(_parse_pairs)] = Field(
        default_factory=_first_pair,
        description="Pairs, as Y/X: Y is regressed on X; unset: the first two symbols",
    )
    timeframes: Annotated[
        tuple[Timeframe, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)
    ] = Field(default=("1s", "1m", "5m", "1h"), description="Bar sizes offered to the analytics")
    pair_timeframe: Timeframe = Field(default="1s", description="Bars that pair statistics use")
    rolling_window: Annotated[int, Field(ge=3)] = Field(
        default=60, description="Bars in rolling z-score, correlation and volatility"
    )
    pair_liquidity_filter: bool = Field(
        default=False, description="Pair statistics leave out bars that liquidity_flags calls thin"
    )
    first_day: date = Field(
        default=date(2024, 1, 1), description="First UTC date offered as a partition in Dagster"
    )
    statistics_interval_s: Seconds = Field(
        default=60.0,
        description="A pair's statistics run once in this many seconds, just after each multiple",
    )
    liquidity_interval_s: Seconds = Field(
        default=30.0,
        description="Kept live, liquidity tables follow once in so many seconds; bars at once",
    )
    final_after_s: Annotated[float, Field(ge=0)] = Field(
        default=60.0,
        description="A bar is provisional until its venue's trades are this many seconds past it",
    )
    taker_fee_bps: Annotated[float, Field(ge=0)] = Field(
        default=10.0, description="Fee assumed for each trade, basis points of its value"
    )
    snapshot_cron: str = Field(
        default="0 * * * *", description="When ADF and correlation snapshots are taken (UTC cron)"
    )
    snapshot_timeframe: Timeframe = Field(
        default="1m", description="Bars that the scheduled snapshots use"
    )
    snapshot_lookback_h: Annotated[float, Field(gt=0)] = Field(
        default=24.0, description="Hours of bars in a scheduled snapshot"
    )
    snapshot_liquidity_filter: bool = Field(
        default=True,
        description="Scheduled snapshots leave out bars that liquidity_flags calls thin",
    )

    # --- what runs by the clock in Dagster ---
    daily_cron: str = Field(
        default="5 0 * * *",
        description="When yesterday's universe scan and report pages are made (UTC cron)",
    )
    maintenance_cron: str = Field(
        default="20 * * * *",
        description="When Dagster merges small files and removes its own old runs (UTC cron)",
    )
    run_retention_days: Annotated[float, Field(gt=0)] = Field(
        default=3.0,
        description="Days before a run that a newer one has replaced leaves Dagster's history",
    )

    # --- what is checked ---
    check_lookback_h: Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="Hours of the newest data that the asset checks judge"
    )
    checks_cron: str = Field(
        default="*/5 * * * *", description="When the asset checks are made (UTC cron)"
    )
    check_sampled_spans: Annotated[int, Field(ge=1)] = Field(
        default=8, description="Spans of time whose bars a check recomputes from their ticks"
    )
    check_gap_error_s: Seconds = Field(
        default=300.0, description="A gap open for longer is an error, a younger one a warning"
    )
    check_clock_skew_ms: Annotated[float, Field(gt=0)] = Field(
        default=1000.0, description="Largest median delay from trade time to reception"
    )
    check_price_jump_mads: Annotated[float, Field(gt=0)] = Field(
        default=25.0, description="A one-minute return beyond this many robust deviations is a jump"
    )
    check_one_leg_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.8, description="Largest share of a pair's bars in which only one leg traded"
    )
    check_drift_mads: Annotated[float, Field(gt=0)] = Field(
        default=6.0, description="A statistic beyond this many robust deviations has drifted"
    )
    stale_min_s: Seconds = Field(
        default=60.0, description="Silence below this is never stale, however lively the symbol"
    )
    stale_factor: Annotated[float, Field(gt=1)] = Field(
        default=4.0, description="Silence of this many usual pauses of a symbol is stale"
    )

    # --- alerts ---
    alert_rules: Annotated[tuple[AlertRule, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=get_args(AlertRule), description="Rules that raise alerts"
    )
    alert_urls: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_parse_secrets)] = Field(
        default=(),
        description="Where alerts are sent: Apprise addresses, parted by spaces. Secret",
    )
    alert_interval_s: Annotated[int, Field(ge=5)] = Field(
        default=30, description="Seconds between two looks at the rules"
    )
    alert_quiet_hours: (
        Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")] | None
    ) = Field(
        default=None, description="UTC hours, as 22:00-06:00, whose alerts wait for their end"
    )
    alert_quiet_lets_critical_pass: bool = Field(
        default=True, description="Whether critical alerts are sent in quiet hours too"
    )
    alert_zscore_raise: Annotated[float, Field(gt=0)] = Field(
        default=2.5, description="|z| of the spread from which on it is an alert"
    )
    alert_zscore_clear: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="|z| of the spread down to which it is cleared"
    )
    alert_correlation_drop_raise: Annotated[float, Field(gt=0, le=2)] = Field(
        default=0.3, description="Correlation below its week's median: breakdown"
    )
    alert_correlation_drop_clear: Annotated[float, Field(ge=-2, le=2)] = Field(
        default=0.15, description="Correlation below its week's median: breakdown is over"
    )
    alert_cointegrated_below: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="Engle-Granger p-value down to which a pair is cointegrated"
    )
    alert_cointegration_lost_above: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="Engle-Granger p-value from which on cointegration is lost"
    )
    alert_spread_ratio_raise: Annotated[float, Field(gt=0)] = Field(
        default=2.0, description="Spread deviation over its week's median day: widening"
    )
    alert_spread_ratio_clear: Annotated[float, Field(gt=0)] = Field(
        default=1.3, description="Spread deviation over its week's median day: widening is over"
    )
    alert_volume_ratio_raise: Annotated[float, Field(gt=0)] = Field(
        default=8.0, description="Five minutes' volume over its day's median: spike"
    )
    alert_volume_ratio_clear: Annotated[float, Field(gt=0)] = Field(
        default=3.0, description="Five minutes' volume over its day's median: spike is over"
    )
    alert_open_gap_s: Seconds = Field(
        default=120.0, description="Seconds a capture gap may be open before it is an alert"
    )

    # --- how the lake is kept ---
    maintenance_interval_s: Seconds = Field(
        default=60.0, description="Seconds between merges of small files (`quant maintain --every`)"
    )
    maintenance_small_file_bytes: Annotated[int, Field(ge=1)] = Field(
        default=2_000_000, description="Files below this are merged every time, larger ones daily"
    )
    snapshot_retention_days: Annotated[float, Field(ge=1)] = Field(
        default=3.0, description="Days a snapshot can be travelled to; at least 1"
    )
    file_grace_hours: Annotated[float, Field(ge=1)] = Field(
        default=6.0, description="Hours a replaced file stays for readers that have it open"
    )
    orphan_grace_days: Annotated[float, Field(ge=1)] = Field(
        default=2.0, description="Days before a file that no table names is removed"
    )
    tick_retention_days: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Days raw ticks stay in the lake; unset: for ever"
    )
    archive_path: Annotated[str | None, AfterValidator(_anchor_folder)] = Field(
        default=None, description="Where retired ticks are exported to; unset: HOME/archive"
    )
    backfill_weight_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="Share of the venue's request weight that a backfill may use up"
    )

    # --- where it listens (loopback) ---
    host: str = Field(default="127.0.0.1", description="Address every server binds to")
    dagster_port: Port = Field(default=3000, description="Dagster UI")
    exchange_port: Port = Field(default=8765, description="Local exchange")
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=9464, description="Worker metrics and health; 0: any free port"
    )

    @model_validator(mode="after")
    def _pairs_are_captured(self) -> Settings:
        for pair in self.pairs:
            for leg in pair:
                if leg not in self.symbols:
                    raise ValueError(
                        f"pair {str(pair)!r} needs {leg!r}, which is not in symbols "
                        f"({', '.join(self.symbols)}); add it there or change the pair"
                    )
        for name in ("pair_timeframe", "snapshot_timeframe"):
            if getattr(self, name) not in self.timeframes:
                raise ValueError(
                    f"{name} {getattr(self, name)!r} is not in timeframes "
                    f"({', '.join(self.timeframes)}); add it there or choose one of them"
                )
        return self

    @model_validator(mode="after")
    def _alerts_have_hysteresis(self) -> Settings:
        for low, high in (
            ("alert_zscore_clear", "alert_zscore_raise"),
            ("alert_correlation_drop_clear", "alert_correlation_drop_raise"),
            ("alert_cointegrated_below", "alert_cointegration_lost_above"),
            ("alert_spread_ratio_clear", "alert_spread_ratio_raise"),
            ("alert_volume_ratio_clear", "alert_volume_ratio_raise"),
        ):
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(
                    f"{low} {getattr(self, low):g} is not below {high} {getattr(self, high):g}; "
                    "an alert needs two levels, or it is raised by every tick"
                )
        if "cointegration_lost" in self.alert_rules and (
            "cointegration_gained" not in self.alert_rules
        ):
            raise ValueError(
                "alert_rules has 'cointegration_lost' without 'cointegration_gained', which tells "
                "what there is to lose; add it"
            )
        return self

    # --- folders derived from home ---
    @property
    def lake_path(self) -> str:
        """Where the Parquet files are: a folder or an object-store address."""
        return self.data_path or str(self.home / "lake")

    @property
    def reports_dir(self) -> Path:
        """Where reports are rendered to and served from."""
        return self.home / "reports"

    @property
    def dagster_dir(self) -> Path:
        """Where Dagster keeps runs, events and logs."""
        return self.home / "dagster"

    @property
    def archive_folder(self) -> str:
        """Where ticks go that retention takes out of the lake: a folder or an address."""
        return self.archive_path or str(self.home / "archive")

    @property
    def rejects_dir(self) -> Path:
        """Where a backfill writes the rows it refused, with the reasons."""
        return self.home / "rejects"

    @property
    def spool_dir(self) -> Path:
        """Where the worker parks batches that the lake cannot take yet."""
        return self.home / "spool"

    @property
    def log_dir(self) -> Path:
        """Where long-running processes write their logs."""
        return self.home / "logs"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, toml_file=config_file())
        return init_settings, env_settings, toml


def config_file() -> Path:
    """The settings file: `QUANT_CONFIG` or `quant.toml` at the root. It need not exist."""
    named = os.environ.get(_CONFIG_VARIABLE)
    return Path(named).expanduser() if named else ROOT / "quant.toml"


def _reject_unknown(name: str, origin: str, known: Iterable[str]) -> None:
    close = get_close_matches(name.lower(), known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "; `quant config` lists the settings"
    raise SettingsError(f"unknown setting {name!r} in {origin}{hint}")


def load(**overrides: Any) -> Settings:
    """Read the settings; `overrides` win over every source.

    Raises:
        SettingsError: a key is unknown or a value malformed, in one readable line.
    """
    known = Settings.model_fields
    for variable in os.environ:
        name = variable.removeprefix(_PREFIX)
        if variable in (name, _CONFIG_VARIABLE):
            continue
        if name.lower() not in known:
            _reject_unknown(name.lower(), f"the environment ({variable})", known)
    path = config_file()
    try:
        file_keys = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    for key in file_keys:
        if key not in known:
            _reject_unknown(key, str(path), known)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        shown = "" if problem["type"] == "value_error" else f" (got {problem['input']!r})"
        lines.append(f"setting {name!r}: {message}{shown}" if name else message)
    return "; ".join(lines)


@cache
def get() -> Settings:
    """The process's settings, read once."""
    return load()


def timeframe_seconds(timeframe: str) -> int:
    """Length of a bar in seconds; raises ValueError on a timeframe that does not exist."""
    for name, seconds in TIMEFRAME_SECONDS.items():
        if name == timeframe:
            return seconds
    raise ValueError(
        f"timeframe {timeframe!r} does not exist; choose from {', '.join(get_args(Timeframe))}"
    )
