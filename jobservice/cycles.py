"""How seldom Python looks for cycles of objects, in processes that make many objects that end by themselves."""

from __future__ import annotations

import gc

# Python looks whenever 700 objects are new, and then through ever more of them: three quarters of what it takes to read
# a large body, and a good part of a delivery's time. Nothing of a request is a cycle that lives long.
_NEW_OBJECTS, _SMALL_LOOKS, _LARGER_LOOKS = 50_000, 20, 50


def look_for_cycles_seldom() -> None:
    """Call once, when all is loaded: what is here now stays, and is never looked through again."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _SMALL_LOOKS, _LARGER_LOOKS)
