"""``make demo``: from a checkout to an answering application, on whatever this machine can host."""
