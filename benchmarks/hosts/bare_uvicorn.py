"""Bare uvicorn, with what a careful user would give it: uvloop, httptools, no access log."""

from __future__ import annotations

import argparse
import multiprocessing
import socket
from collections.abc import Mapping
from typing import Any

from benchmarks.hosts import orders
from benchmarks.programs import bare

running: list[multiprocessing.process.BaseProcess] = []


def run(order: Mapping[str, Any]) -> Mapping[str, Any]:
    """Serve a program of `bare` in a process of its own."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(2048)
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(order["program"], listening))
    process.start()
    running.append(process)
    port: int = listening.getsockname()[1]
    listening.close()
    return {"url": f"http://127.0.0.1:{port}"}


def delete(order: Mapping[str, Any]) -> Mapping[str, Any]:
    """End it."""
    for process in running:
        process.kill()
        process.join()
    running.clear()
    return {}


def _serve(program: str, listening: socket.socket) -> None:
    import uvicorn

    app = getattr(bare, program)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="error")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--replies", type=int, required=True)
    orders.serve(parser.parse_args().replies, run=run, delete=delete)
    delete({})
