"""The subcommands of `quant`, a module for each part of the pipeline."""
