"""Where the demo runs: the first place that can be had, and never a cluster that was not named."""

import pytest

from demo.place import Facts, Kind, choose


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        pytest.param(Facts("mine", None, None), Kind.CONTEXT, id="a named context wins"),
        pytest.param(Facts("mine", "no docker", "not root"), Kind.CONTEXT, id="a named context needs nothing else"),
        pytest.param(Facts(None, None, None), Kind.KIND, id="kind where a Docker engine and kind are there"),
        pytest.param(Facts(None, "no docker", None), Kind.PROVING_GROUND, id="else the proving ground"),
        pytest.param(Facts(None, "no docker", "not root"), Kind.LOCAL, id="else local mode"),
    ],
)
def test_the_first_place_that_can_be_used_is_chosen(facts: Facts, kind: Kind) -> None:
    assert choose(facts).kind is kind


def test_local_mode_says_what_both_clusters_lack() -> None:
    why = choose(Facts(None, "no Docker engine answers", "it needs root")).why
    assert "no Docker engine answers" in why
    assert "it needs root" in why
