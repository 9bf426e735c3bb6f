"""Names of our images on a cluster that somebody else made."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.access import CommandFailed
from demo.context import Image, NamedContext, values
from tests.cluster.recipes import Recipe, ours


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "code.py").write_text("one")
    return Recipe("remora.dev/runtime:dev", tmp_path / "Dockerfile", tmp_path, (tmp_path / "code.py",))


@pytest.mark.parametrize(
    ("registry", "repository"),
    [
        ("registry.example/me", "registry.example/me/runtime"),
        ("localhost:5001/", "localhost:5001/runtime"),
        (None, "remora.dev/runtime"),
    ],
)
def test_an_image_is_named_after_the_registry(recipe: Recipe, registry: str | None, repository: str) -> None:
    image = Image.of(recipe, registry)
    assert image.repository == repository
    assert image.name == f"{repository}:{image.tag}"


def test_changed_sources_get_another_tag_and_the_same_sources_the_same(recipe: Recipe) -> None:
    before = Image.of(recipe, "registry.example").tag
    assert Image.of(recipe, "registry.example").tag == before
    (recipe.context / "code.py").write_text("two")
    assert Image.of(recipe, "registry.example").tag != before


def test_the_chart_is_given_each_image_under_its_own_value() -> None:
    given = values([Image.of(recipe, "registry.example/me") for recipe in ours()])
    assert given["image.repository"] == "registry.example/me/operator"
    assert given["runtimeImage.repository"] == "registry.example/me/runtime"
    assert set(given) == {f"{part}.{key}" for part in ("image", "runtimeImage") for key in ("repository", "tag")}


def test_a_cluster_that_no_image_gets_to_is_refused_with_the_way_out() -> None:
    with pytest.raises(CommandFailed, match=r"make demo CONTEXT=theirs REGISTRY=registry\.example"):
        NamedContext.of("theirs", None)
    assert NamedContext.of("kind-mine", "").registry is None
    assert NamedContext.of("theirs", "registry.example").registry == "registry.example"


def test_what_removes_the_demo_again_names_the_same_cluster() -> None:
    assert NamedContext.of("theirs", "registry.example").place_hint == "CONTEXT=theirs REGISTRY=registry.example"
    assert NamedContext.of("kind-mine", None).place_hint == "CONTEXT=kind-mine"
