"""The streaming worker: venue frames in, exchange trades in the lake out."""
