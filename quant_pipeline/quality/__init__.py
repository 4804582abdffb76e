"""Whether what is in the lake can be believed: bounded queries, each with a finding."""
