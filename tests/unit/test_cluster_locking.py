"""What the lock files of the images are resolved from."""

from __future__ import annotations

from tests.cluster.locking import asked


def test_an_extra_may_name_several_others() -> None:
    project = {
        "name": "shop",
        "dependencies": ["all"],
        "optional-dependencies": {"image": ["shop[a,b]", "own"], "a": ["one"], "b": ["shop[a]", "two"]},
    }
    assert asked(project, "image") == ["all", "one", "own", "two"]
