"""What a long command says on standard error while it works."""

from __future__ import annotations

import time

from django.core.management.base import OutputWrapper

EVERY_SECONDS = 2.0


class Progress:
    """`12000 values sealed anew …` every two seconds, and nothing when the work is done sooner."""

    def __init__(self, output: OutputWrapper, noun: str) -> None:
        self._output = output
        self._noun = noun
        self._said_at = time.monotonic()

    def note(self, count: int) -> None:
        """Say how far the work is, if it is time to."""
        if time.monotonic() - self._said_at >= EVERY_SECONDS:
            self.say(f"{count} {self._noun} …")

    def say(self, sentence: str) -> None:
        """Say something now; it is no error, so it is not coloured like one."""
        self._said_at = time.monotonic()
        self._output.write(sentence, style_func=str)
        self._output.flush()
