"""`python -m quant_pipeline` is `quant`."""

from quant_pipeline.cli import main

main()
