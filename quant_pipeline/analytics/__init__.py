"""Pure statistics for pairs trading and market microstructure."""
