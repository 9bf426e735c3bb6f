"""Bare uvicorn in a pod: ``python -m benchmarks.in_cluster.bare PROGRAM``."""

from __future__ import annotations

import sys

import uvicorn

from benchmarks.in_cluster.manifests import PORT
from benchmarks.programs import bare

if __name__ == "__main__":
    app = getattr(bare, sys.argv[1])
    uvicorn.run(app, host="0.0.0.0", port=PORT, loop="uvloop", http="httptools", access_log=False, log_level="error")
