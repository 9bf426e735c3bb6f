"""What user code records for policies: the window of it, its mean, and what is said of code that does not record."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from remora.replica.recorder import Recorder
from remora.replica.stats import MAX_NAMES, TimeStampedValue, Window, aggregated


def series(*pairs: tuple[float, float]) -> list[TimeStampedValue]:
    return [TimeStampedValue(timestamp, value) for timestamp, value in pairs]


def test_a_value_weighs_as_much_as_the_time_that_it_held() -> None:
    assert aggregated(series((0, 10), (1, 2)), "mean", now=4) == (10 * 1 + 2 * 3) / 4
    assert aggregated(series((0, 10), (1, 2)), "max", now=4) == 10
    assert aggregated(series((0, 10), (1, 2)), "min", now=4) == 2


def test_the_last_value_counts_when_no_time_has_passed() -> None:
    assert aggregated(series((5, 7)), "mean", now=5) == 7
    assert aggregated(series((5, 7)), "mean", now=4) == 7


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e9, 1e9)), min_size=1), st.floats(0, 1e6))
@example([(0.0, 1.5)], 5e-324)
def test_a_mean_lies_between_the_least_and_the_most(pairs: list[tuple[float, float]], more: float) -> None:
    values = series(*sorted(pairs))
    mean = aggregated(values, "mean", values[-1].timestamp + more)
    low, high = aggregated(values, "min", 0), aggregated(values, "max", 0)
    # Of floats: shares of the time are rounded.
    slack = max(abs(low), abs(high), 1) * 1e-9
    assert low - slack <= mean <= high + slack


def test_a_window_forgets_what_is_older() -> None:
    window = Window()
    window.add({"depth": 1, "age": 2.5}, 0)
    window.add({"depth": 3}, 10)
    assert window.since(5) == {"depth": tuple(series((10, 3)))}
    assert window.since(11) == {}


@pytest.mark.parametrize("recorded", [None, 3, {"depth": "deep"}, {"depth": True}, {"depth": float("nan")}])
def test_what_is_no_dict_of_numbers_is_refused(recorded: Any) -> None:
    with pytest.raises(TypeError, match="must return a dict"):
        Window().add(recorded, 0)


def test_the_number_of_names_has_a_bound() -> None:
    with pytest.raises(ValueError, match=str(MAX_NAMES)):
        Window().add({str(number): 1 for number in range(MAX_NAMES + 1)}, 0)


class User:
    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def records(self, what: str) -> bool:
        return what == "record_autoscaling_stats"

    async def recorded(self, what: str) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_code_that_raises_is_logged_and_the_rest_stays(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(User({"depth": 4}, KeyError("queue"), {"depth": 6}), clock=iter(range(100)).__next__)
    assert Recorder.is_for(User())
    assert await recorder.recorded(30) == {"depth": tuple(series((0, 4)))}
    with caplog.at_level(logging.ERROR, "remora.serve"):
        assert await recorder.recorded(30) == {"depth": tuple(series((0, 4)))}
    assert "record_autoscaling_stats failed" in caplog.text
    assert [it.value for it in (await recorder.recorded(30))["depth"]] == [4, 6]
