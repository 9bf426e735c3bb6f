"""A load generator that cannot hide a failure: it never retries, and it counts on its own."""
