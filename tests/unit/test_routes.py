"""Which application a path belongs to."""

from __future__ import annotations

import pytest

from remora.proxy.routes import MAX_CACHED_PATHS, RouteTable, normalized
from remora_api.wire import ApplicationRouting


def table(*prefixes: str) -> RouteTable:
    return RouteTable(ApplicationRouting(application=prefix, route_prefix=prefix) for prefix in prefixes)


def found(routes: RouteTable, path: str) -> tuple[str, str] | None:
    match = routes.match(path)
    return None if match is None else (match[0], match[1].application)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ("", "/")),
        ("/apix", ("", "/")),
        ("/api", ("/api", "/api")),
        ("/api/", ("/api", "/api")),
        ("/api/v1", ("/api", "/api")),
        ("/api/v2", ("/api/v2", "/api/v2/")),
        ("/api/v2/x", ("/api/v2", "/api/v2/")),
        ("/api/v22", ("/api", "/api")),
    ],
)
def test_the_longest_prefix_of_whole_segments_wins(path: str, expected: tuple[str, str]) -> None:
    routes = table("/", "/api", "/api/v2/")
    assert found(routes, path) == expected
    assert found(routes, path) == expected, "the cache says something else"


def test_without_a_root_some_paths_belong_to_nobody() -> None:
    routes = table("/api")
    assert found(routes, "/") is None
    assert found(routes, "/ap") is None
    assert found(RouteTable(), "/") is None


def test_many_paths_do_not_fill_memory() -> None:
    routes = table("/")
    for number in range(MAX_CACHED_PATHS * 2 + 10):
        routes.match(f"/{number}")
    assert len(routes._cache) <= MAX_CACHED_PATHS


@pytest.mark.parametrize(("prefix", "root_path"), [("/", ""), ("", ""), ("/a/", "/a"), ("a", "/a"), ("/a/b", "/a/b")])
def test_prefixes_become_root_paths(prefix: str, root_path: str) -> None:
    assert normalized(prefix) == root_path
