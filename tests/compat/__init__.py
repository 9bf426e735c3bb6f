"""The acceptance suite of the programming model: the same programs on Ray Serve and on Remora.

`cases` holds programs against Ray Serve's public API; `python -m tests.compat` runs them on both sides and prints a
table; `test_on_remora` runs them on Remora as part of the ordinary tests.
"""
