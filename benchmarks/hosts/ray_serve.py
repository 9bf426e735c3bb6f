"""Ray Serve, in its own environment; its switches are environment variables, which the benchmark has set."""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray import serve

from benchmarks.hosts import orders


def run(order: Mapping[str, Any]) -> Mapping[str, Any]:
    """Serve a program, or serve it with other arguments."""
    app = importlib.import_module(f"benchmarks.programs.{order['program']}").app
    if order.get("args"):
        app = app(order["args"])
    began = time.monotonic()
    serve.run(app, name="bench", route_prefix="/")
    return {"url": f"http://127.0.0.1:{port}", "seconds": time.monotonic() - began}


def delete(order: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take it away."""
    serve.delete("bench")
    return {}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--replies", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()
    port = given.port
    ray.init(include_dashboard=False, num_cpus=64, object_store_memory=200_000_000, log_to_driver=False)
    serve.start(http_options={"host": given.host, "port": port})
    orders.serve(given.replies, run=run, delete=delete)
    serve.shutdown()
    ray.shutdown()
