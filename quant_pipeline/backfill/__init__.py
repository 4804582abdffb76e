"""Past trades into the lake, from files or over REST, beside the live worker and repeatable."""
