"""The cases on Remora, one test for each, run together in one process: on one Ray, with `ray.serve` being Remora.

What `not_yet.toml` lists is expected to fail, and has to be taken from the list once it passes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.compat import sides
from tests.compat.case_list import all_cases, not_yet
from tests.compat.sides import Outcome, Result

LIMIT_S = 900

pytestmark = [pytest.mark.ray, pytest.mark.timeout(LIMIT_S + 60)]


def parameters() -> Iterator[object]:
    missing = not_yet()
    for case in all_cases():
        marks = [pytest.mark.xfail(reason=missing[case], strict=True)] if case in missing else []
        yield pytest.param(case, marks=marks, id=case)


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Mapping[str, Result]:
    """Run those of the cases that this session has selected."""
    wanted = [
        item.callspec.params["case"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == Path(__file__) and hasattr(item, "callspec")
    ]
    return sides.run(Path(sys.executable), wanted, limit_s=LIMIT_S)


@pytest.mark.parametrize("case", list(parameters()))
def test_case(case: str, results: Mapping[str, Result]) -> None:
    assert results[case].outcome is Outcome.PASSED, results[case].text


def test_the_list_names_cases_that_there_are() -> None:
    assert set(not_yet()) <= set(all_cases())
