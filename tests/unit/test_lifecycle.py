"""The table of a replica's life."""

from __future__ import annotations

import pytest

from remora.controller.lifecycle import GONE, TRANSITIONS, NoSuchStep, Phase, Step, after, allows


def test_death_is_possible_everywhere() -> None:
    assert all(after(phase, Step.DIED) is GONE for phase in Phase)


def test_every_phase_can_be_reached_and_left() -> None:
    reached = {phase for phase in TRANSITIONS.values() if phase is not GONE}
    assert reached | {Phase.STARTING} == set(Phase)


def test_late_news_is_not_in_the_table() -> None:
    assert not allows(Phase.STOPPING, Step.READY)
    assert not allows(Phase.DRAINING, Step.DRAIN)


def test_an_unlisted_pair_is_an_error_that_names_both() -> None:
    with pytest.raises(NoSuchStep, match="Stopping cannot Ready"):
        after(Phase.STOPPING, Step.READY)
