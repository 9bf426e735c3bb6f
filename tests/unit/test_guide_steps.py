"""What the end-to-end tests take from a page of the documentation."""

from __future__ import annotations

from tests.e2e.guide import Step, steps

PAGE = """# A page
```sh
first
```
Words, and a file:
```yaml
spec: {}
```
```sh
second
```
It prints
```
NAME   AGE
a-…    3s
```
"""


def test_commands_and_what_they_print() -> None:
    assert steps(PAGE) == [Step(2, "first\n"), Step(9, "second\n", ("NAME   AGE", "a-…    3s"))]


def test_lines_are_looked_for_in_their_order() -> None:
    second = steps(PAGE)[1]
    assert second.missing("before\nNAME AGE\nbetween\na-17   3s\n") is None
    assert second.missing("a-17 3s\nNAME AGE\n") == "a-…    3s"
    assert second.missing("NAME AGE\nb-17 3s\n") == "a-…    3s"
