"""One serve instance for all cases, and what a case needs to talk to it.

On a Python that has Remora, `ray.serve` is Remora from here on; on any other it is Ray Serve. Nothing else differs.
"""

import socket
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

if find_spec("remora") is not None:
    from remora.compat import alias

    alias.install()

import ray
from ray import serve


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=Path, help="file with the names of the cases to run (default: all)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.cases:
        wanted = set(config.option.cases.read_text().splitlines())
        items[:] = [item for item in items if item.nodeid in wanted]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def ports() -> tuple[int, int]:
    """The ports of HTTP and of gRPC."""
    return free_port(), free_port()


@pytest.fixture(scope="session")
def instance(ports: tuple[int, int]) -> Iterator[str]:
    """Start Ray and Serve; the address of the HTTP proxy."""
    ray.init(num_cpus=64, include_dashboard=False, log_to_driver=False)
    serve.start(
        http_options={"host": "127.0.0.1", "port": ports[0]},
        grpc_options={"port": ports[1], "grpc_servicer_functions": ["greeter_grpc.add_GreeterServicer_to_server"]},
    )
    yield f"127.0.0.1:{ports[0]}"
    serve.shutdown()
    ray.shutdown()


@pytest.fixture(scope="session")
def grpc_address(instance: str, ports: tuple[int, int]) -> str:
    """The address of the gRPC proxy."""
    return f"127.0.0.1:{ports[1]}"


@pytest.fixture
def http(instance: str) -> Iterator[httpx.Client]:
    """A client of the proxy."""
    with httpx.Client(base_url=f"http://{instance}", timeout=20) as client:
        yield client


@pytest.fixture
def run(instance: str) -> Iterator[Callable]:
    """serve.run, undone when the case ends."""
    names = []

    def run_(app, **options):
        names.append(options.get("name", "default"))
        return serve.run(app, **options)

    yield run_
    for name in dict.fromkeys(reversed(names)):
        serve.delete(name)


@pytest.fixture(scope="module")
def share(instance: str) -> Iterator[Callable]:
    """serve.run for all cases of a module: an application of its own, under a prefix of its own."""
    names = []

    def share_(app, name):
        names.append(name)
        return serve.run(app, name=name, route_prefix=f"/{name}")

    yield share_
    for name in names:
        serve.delete(name)
