"""Figures of revisions: the last minute only, and bounded."""

from __future__ import annotations

from remora.proxy.figures import MAX_REVISIONS, Figures


def test_only_the_last_minute_counts() -> None:
    figures = Figures()
    for second in range(200):
        figures.add("app", "r1", 500 if second < 100 else 200, 0.02, now=float(second))
    (told,) = figures.report(200.0).revisions
    assert 55 <= told.requests <= 60
    assert told.errors == 0
    assert sum(told.buckets) == told.requests
    assert figures.report(500.0).revisions[0].requests == 0
    assert 'code="500"} 100' in "\n".join(figures.lines())


def test_a_client_that_went_away_is_no_error_and_503_is_one() -> None:
    figures = Figures()
    for code in (200, 404, 499, 500, 503):
        figures.add("app", "r1", code, 0.02, now=1.0)
    assert figures.report(1.0).revisions[0].errors == 2


def test_revisions_of_the_past_do_not_pile_up() -> None:
    figures = Figures()
    for number in range(1000):
        figures.add("app", f"r{number}", 200, 0.02, now=1.0)
    assert len(figures.report(1.0).revisions) == MAX_REVISIONS


def test_a_revision_that_is_tried_again_is_not_judged_by_its_first_try() -> None:
    figures = Figures()
    figures.add("app", "old", 200, 0.02, now=1.0)
    figures.add("app", "new", 500, 0.02, now=1.0)
    figures.keep({("app", "old"), ("app", "new")})
    assert [it.requests for it in figures.report(2.0).revisions] == [1, 1]
    # The new one is aborted: all requests go to the other, which has no name while it is the only one.
    figures.keep({("app", "")})
    assert figures.report(2.0).revisions == ()
    assert 'revision="new",code="500"} 1' in "\n".join(figures.lines()), "counters only grow"
    figures.add("app", "new", 200, 0.02, now=3.0)
    assert [it.errors for it in figures.report(4.0).revisions] == [0]
