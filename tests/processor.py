"""How fast this machine runs Python now, for tests whose bounds are times."""

from __future__ import annotations

import time

REFERENCE = 0.004  # seconds the work takes on the machine for which the bounds are set


def work() -> float:
    """The processor's seconds for a fixed piece of work: what importing and looking up are made of."""
    source = "\n".join(f"class C{i}:\n    def f(self, a, b={i}):\n        return [a + b] * a" for i in range(16))
    begun = time.process_time()
    for _ in range(3):
        table: dict[str, tuple[int, str]] = {}
        for i in range(4000):
            table[f"key {i % 97}"] = (i, str(i))
        exec(compile(source, "work", "exec"), {})
    return time.process_time() - begun


def slowness() -> float:
    """How many times slower than the reference this machine is now, at least 1: a factor for bounds of time."""
    return max(1.0, sorted(work() for _ in range(7))[3] / REFERENCE)
