"""Handle responses that are awaited twice: ``ref = await handle.remote()``, then ``await ref``.

Pure. In an older Ray Serve the first `await` gave a reference and the second one the value; today the first gives the
value. Both kinds of program run as they are, because the difference shows in the code that awaits: a value that came
out of a pickle cannot be awaited, so where the result of an `await` is awaited again, directly or by its name, a
reference was meant. Each place is looked at once.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import CodeType, FrameType
from typing import Final

_known: dict[CodeType, frozenset[int]] = {}
_awaited: dict[CodeType, frozenset[int]] = {}

_LOADS: Final = ("LOAD_FAST", "LOAD_DEREF", "LOAD_NAME", "LOAD_GLOBAL", "LOAD_CLOSURE")
_STORES: Final = ("STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL")
_WAITING: Final = frozenset(
    {"LOAD_CONST", "SEND", "YIELD_VALUE", "RESUME", "JUMP_BACKWARD_NO_INTERRUPT", "END_SEND", "CLEANUP_THROW"}
)
"""What an `await` compiles to after GET_AWAITABLE, in CPython 3.11 to 3.13."""


def wants_reference(frame: FrameType) -> bool:
    """Return whether the `await` that this frame is executing has its result awaited again."""
    code = frame.f_code
    places = _known.get(code)
    if places is None:
        places = _known[code] = frozenset(_places(code))
    return frame.f_lasti in places


def is_awaited(frame: FrameType) -> bool:
    """Return whether the result of what this frame is executing (an item taken, a call) goes straight into `await`."""
    code = frame.f_code
    places = _awaited.get(code)
    if places is None:
        # A frame that calls stands at the instruction, or at one of its caches, which fill the gap to the next.
        places = _awaited[code] = frozenset(
            offset
            for done, then in pairwise(dis.get_instructions(code))
            if then.opname == "GET_AWAITABLE"
            for offset in range(done.offset, then.offset)
        )
    return frame.f_lasti in places


def _places(code: CodeType) -> Iterator[int]:
    """Yield the offset of each GET_AWAITABLE whose result is awaited again."""
    instructions = [found for found in dis.get_instructions(code) if found.opname != "NOP"]
    users = {
        instruction.offset: user
        for index, instruction in enumerate(instructions)
        if instruction.opname == "GET_AWAITABLE" and (user := _after_await(instructions, index)) is not None
    }
    references = _awaited_names(instructions) - _given_names(
        code, instructions, {user.offset for user in users.values()}
    )
    for offset, user in users.items():
        if user.opname == "GET_AWAITABLE" or (user.opname in _STORES and user.argval in references):
            yield offset


def _awaited_names(instructions: Sequence[dis.Instruction]) -> set[str]:
    """Return the names x for which there is an ``await x``."""
    return {
        loaded.argval
        for loaded, then in pairwise(instructions)
        if then.opname == "GET_AWAITABLE" and loaded.opname.startswith(_LOADS) and isinstance(loaded.argval, str)
    }


def _given_names(code: CodeType, instructions: Sequence[dis.Instruction], after_await: set[int]) -> set[str]:
    """Return the names that get something else than the result of an `await`, too.

    ``x = handle.remote()``, then ``x = await x``: here x is a response first, so awaiting it says nothing.
    """
    parameters = code.co_argcount + code.co_kwonlyargcount
    stored = {found.argval for found in instructions if found.opname in _STORES and found.offset not in after_await}
    return {*code.co_varnames[:parameters], *code.co_freevars, *stored}


def _after_await(instructions: Sequence[dis.Instruction], index: int) -> dis.Instruction | None:
    """Return the first instruction that uses the result of the await."""
    jumped = False
    for instruction in instructions[index + 1 :]:
        if instruction.opname == "JUMP_BACKWARD_NO_INTERRUPT":
            jumped = True
        elif not jumped or instruction.opname in ("END_SEND", "CLEANUP_THROW"):
            if instruction.opname not in _WAITING:
                return None
        else:
            return instruction
    return None
