"""References of Ray's without Ray: there are none, and what needs one says so."""

from __future__ import annotations

import copyreg
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from remora.errors import MisuseError
from remora.handle import payload, references


class Reference:
    """In the place of ray.ObjectRef."""


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Any:
    made: Any = SimpleNamespace(ObjectRef=Reference, is_initialized=lambda: False)
    monkeypatch.setitem(sys.modules, "ray", made)
    yield made
    copyreg.dispatch_table.pop(Reference, None)


def test_without_ray_nothing_is_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    assert not references.is_reference(Reference())
    references.teach_pickle()
    with pytest.raises(MisuseError, match="here it does not"):
        references.refer(1)


def test_a_reference_is_known(ray: Any) -> None:
    assert references.is_reference(Reference())
    assert not references.is_reference([Reference()])


def test_where_ray_has_ended_references_are_refused(ray: Any) -> None:
    with pytest.raises(MisuseError, match=r"ray\.shutdown"):
        payload.dumps([Reference()])
    with pytest.raises(MisuseError, match="here it does not"):
        references.refer(1)
