"""A Ray driver and an async actor that only exist: what an idle controller and an idle replica are held against."""

from __future__ import annotations

import argparse

import ray

from benchmarks.hosts import orders

AS_LOCAL = {"worker_niceness": 0}
"""As Remora starts a Ray of its own. Ray wakes each worker a hundred times a second; one with Ray's niceness, 15, is
woken when its core has nothing else to do, and needs a sixth less for the same."""


class BareActor:
    """One that has been asked once."""

    async def here(self) -> bool:
        """Return True."""
        return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--replies", type=int, required=True)
    given = parser.parse_args()
    ray.init(include_dashboard=False, object_store_memory=200_000_000, log_to_driver=False, _system_config=AS_LOCAL)
    actor = ray.remote(num_cpus=0)(BareActor).remote()
    ray.get(actor.here.remote())
    orders.serve(given.replies)
    ray.shutdown()
