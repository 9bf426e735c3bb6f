"""What holds for all unit tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes says something of the machine's other work, and nothing of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
