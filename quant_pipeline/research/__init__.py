"""From lake to figures: reads bars and ticks at a snapshot and computes what pages show.

Reports, Dagster assets and the command line share these results. Reading the lake and computing
are separate functions; the statistics themselves are `quant_pipeline.analytics`.
"""
