"""A research pipeline for live trades: lake, statistics, orchestration and the `quant` command."""
