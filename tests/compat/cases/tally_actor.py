"""An actor that cases name by its import path."""

import ray


@ray.remote
class Tally:
    def __init__(self, start):
        self.count = start

    def add(self, more=1):
        self.count += more
        return self.count
