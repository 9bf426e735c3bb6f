"""What serves: one process a side, told on its standard input what to do (`orders`), in the Python of that side."""
