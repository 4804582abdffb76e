"""`quant config`, `quant catalog` and `quant sql`: look at settings, catalog and lake."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import duckdb
import typer
from pydantic import SecretStr
from rich.table import Table

from quant_pipeline import catalog, lake
from quant_pipeline import settings as settings_module
from quant_pipeline.commands.console import console

_MAX_CELL = 60


class OutputFormat(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command()(config)
    app.command()(sql)
    app.add_typer(_catalog_app, name="catalog")


def config() -> None:
    """Print the effective settings as TOML that quant.toml accepts.

    Example: QUANT_SYMBOLS=BTCUSDT,SOLUSDT quant config
    """
    settings = settings_module.get()
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if _is_secret(value):
            console.print(f"# {name} is set and secret", highlight=False)
            continue
        text = json.dumps(_plain(name, value), ensure_ascii=False)
        line = f"{name} = {text}" if value is not None else f"# {name} is unset"
        console.print(f"{line:<60} # {field.description}", highlight=False, soft_wrap=True)


def sql(
    query: Annotated[
        str, typer.Argument(help="SQL over the lake: raw.*, bars.*, liquidity.*, analytics.*")
    ],
    output: Annotated[
        OutputFormat, typer.Option("--format", help="How rows are printed.")
    ] = OutputFormat.TABLE,
) -> None:
    """Run a query on the lake, read-only.

    Example: quant sql "from bars.ohlc_1m order by bucket desc limit 5" --format csv
    """
    with lake.connect(read_only=True) as connection:
        relation: duckdb.DuckDBPyRelation | None = connection.sql(query)
        if relation is None:  # a statement without a result
            return
        if output is OutputFormat.CSV:
            sys.stdout.write(relation.pl().write_csv())
        elif output is OutputFormat.JSON:
            sys.stdout.write(relation.pl().write_json() + "\n")
        else:
            console.print(_table(relation))


_catalog_app = typer.Typer(help="The embedded catalog: start, stop, status.", no_args_is_help=True)


@_catalog_app.command()
def start() -> None:
    """Start the catalog if it is not running; anything that needs it does this by itself.

    Example: quant catalog start
    """
    settings = settings_module.get()
    console.print(f"catalog is up: {catalog.ensure(settings)}", highlight=False, soft_wrap=True)


@_catalog_app.command()
def stop() -> None:
    """Stop the embedded catalog.

    Example: quant catalog stop
    """
    stopped = catalog.stop(settings_module.get())
    console.print("catalog stopped" if stopped else "catalog was not running")


@_catalog_app.command()
def status() -> None:
    """Tell whether the catalog answers; exits 1 if it does not.

    Example: quant catalog status
    """
    settings = settings_module.get()
    embedded = settings.catalog_dsn is None
    dsn = catalog.locate(settings).dsn() if embedded else settings.catalog_dsn or ""
    if not catalog.is_up(dsn):
        console.print("catalog is not running")
        raise typer.Exit(1)
    kind = f"embedded, pid {catalog.server_pid(settings)}" if embedded else "of your own"
    console.print(
        f"catalog is up ({kind}), {catalog.connections(dsn)} connections", highlight=False
    )


def _is_secret(value: object) -> bool:
    return isinstance(value, tuple) and any(isinstance(item, SecretStr) for item in value)


def _plain(name: str, value: object) -> object:
    if name == "catalog_dsn" and isinstance(value, str):
        return catalog.without_password(value)
    if isinstance(value, settings_module.Pair):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(name, item) for item in value]
    if isinstance(value, (int, float, str, type(None))):
        return value
    return str(value)


def _table(relation: duckdb.DuckDBPyRelation) -> Table:
    table = Table(header_style="bold")
    for column, kind in zip(relation.columns, relation.types, strict=True):
        numeric = str(kind) in {"BIGINT", "DOUBLE", "INTEGER", "HUGEINT", "FLOAT", "UBIGINT"}
        table.add_column(column, justify="right" if numeric else "left")
    for row in relation.fetchall():
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"
