"""How large the patterns of a payload schema are once compiled, which bounds how long one of them can take.

The engine is linear in the text: no pattern backtracks. But the worst pattern takes, for each character, a time that
grows with its compiled size (0.05 ns per byte, measured), so patterns have sizes and long texts are held against them.
"""

from __future__ import annotations

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

MAX_CHARACTERS = 1_000
# The classes of size; a pattern counts as the smallest that holds it. `^.{1,100}$` needs the largest.
_CLASSES = (512, 4_096, 32_768, 262_144)
MAX_TOTAL_BYTES = 1024**2

PATTERN_OPTIONS = RegexOptions(size_limit=_CLASSES[-1], dfa_size_limit=1024**2)
_OPTIONS = tuple((size, RegexOptions(size_limit=size, dfa_size_limit=1024**2)) for size in _CLASSES)


class PatternSizes:
    """The patterns of one schema, each measured once. `total` is their size together."""

    def __init__(self) -> None:
        self.total = 0
        self._known: dict[str, int] = {}

    def measure(self, pattern: str) -> int:
        """The compiled size in bytes, rounded up. Raises `ValueError`, a sentence, for a pattern that may not be."""
        if pattern not in self._known:
            self._known[pattern] = size = _measure(pattern)
            self.total += size
        if self.total > MAX_TOTAL_BYTES:
            raise ValueError("With this one, the schema's patterns are too large together.")
        return self._known[pattern]


def _measure(pattern: str) -> int:
    if len(pattern) > MAX_CHARACTERS:
        raise ValueError(f"A pattern may have at most {MAX_CHARACTERS} characters.")
    for size, options in _OPTIONS:
        try:
            Draft202012Validator({"pattern": pattern}, pattern_options=options)
        except ValidationError:
            continue
        return size
    raise ValueError(
        "It is no regular expression that can be matched in linear time (no look-around, no back-references), "
        "or it is too large."
    )
