"""Ray Serve in a pod, proxy and replicas together: ``python -m benchmarks.in_cluster.ray_serve PROGRAM``."""

from __future__ import annotations

import importlib
import signal
import sys

import ray
from ray import serve

from benchmarks.in_cluster.manifests import PORT

if __name__ == "__main__":
    ray.init(include_dashboard=False, num_cpus=64, object_store_memory=200_000_000, log_to_driver=False)
    serve.start(http_options={"host": "0.0.0.0", "port": PORT})
    serve.run(importlib.import_module(f"benchmarks.programs.{sys.argv[1]}").app, route_prefix="/")
    signal.pause()
