"""Route prefixes that serve.run takes and refuses."""

from __future__ import annotations

import pytest

from remora.errors import OptionError
from remora.graph import prefix


@pytest.mark.parametrize("good", ["/", "/shop", "/shop/v2", None])
def test_a_path_or_none_is_taken(good: str | None) -> None:
    assert prefix.checked(good) == good


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [("shop", "begin with '/'"), ("", "begin with '/'"), ("/shop/", "end with '/'"), ("/{shop}", "wildcards")],
)
def test_anything_else_is_refused_with_the_reason(wrong: str, reason: str) -> None:
    with pytest.raises(OptionError, match=reason) as refused:
        prefix.checked(wrong)
    assert repr(wrong) in str(refused.value)
