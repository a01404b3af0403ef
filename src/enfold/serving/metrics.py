"""Numbers about a server in Prometheus' text format.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

__all__ = ["Counter", "Histogram", "Metrics", "gauge"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


def _labels(names: Iterable[str], values: Iterable[str], more: str = "") -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)] + (
        [more] if more else []
    )
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _head(name: str, kind: str, help: str) -> str:
    return f"# HELP {name} {help}\n# TYPE {name} {kind}\n"


def gauge(name: str, help: str, values: Iterable[tuple[dict[str, str], float]]) -> str:
    """Return the lines of numbers that go up and down.

    Example:
        >>> print(gauge("waiting", "Answers that wait.", [({"model": "m"}, 2)]), end="")
        # HELP waiting Answers that wait.
        # TYPE waiting gauge
        waiting{model="m"} 2
    """
    return _head(name, "gauge", help) + "".join(
        f"{name}{_labels(labels, labels.values())} {value:g}\n" for labels, value in values
    )


class Counter:
    """A number that grows, one for each set of labels.

    Args:
        name, help: of the metric.
        labels: names of its labels.
    """

    def __init__(self, name: str, help: str, labels: tuple[str, ...] = ()) -> None:
        self.name, self.help, self.labels = name, help, labels
        self.values: dict[tuple[str, ...], float] = {}

    def add(self, amount: float, *labels: str) -> None:
        """Let it grow."""
        self.values[labels] = self.values.get(labels, 0.0) + amount

    def lines(self) -> str:
        """Return its text."""
        rows = (f"{self.name}{_labels(self.labels, labels)} {value:.15g}\n" for labels, value in self.values.items())
        return _head(self.name, "counter", self.help) + "".join(rows)


class Histogram:
    """How often numbers of each size came, for each set of labels.

    Args:
        name, help: of the metric.
        labels: names of its labels.
        bounds: the buckets' upper ends, in order.
    """

    def __init__(self, name: str, help: str, labels: tuple[str, ...] = (), bounds: tuple[float, ...] = SECONDS) -> None:
        self.name, self.help, self.labels, self.bounds = name, help, labels, bounds
        self.values: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def add(self, value: float, *labels: str) -> None:
        """Take note of a number."""
        if labels not in self.values:
            self.values[labels] = ([0] * (len(self.bounds) + 1), [0.0])
        counts, total = self.values[labels]
        counts[bisect_left(self.bounds, value)] += 1
        total[0] += value

    def lines(self) -> str:
        """Return its text."""
        return _head(self.name, "histogram", self.help) + "".join(self._rows())

    def _rows(self) -> Iterator[str]:
        for labels, (counts, total) in self.values.items():
            seen = 0
            for bound, count in zip((*self.bounds, float("inf")), counts, strict=True):
                seen += count
                end = "+Inf" if bound == float("inf") else f"{bound:g}"
                le = f'le="{end}"'
                yield f"{self.name}_bucket{_labels(self.labels, labels, le)} {seen}\n"
            yield f"{self.name}_sum{_labels(self.labels, labels)} {total[0]:.9g}\n"
            yield f"{self.name}_count{_labels(self.labels, labels)} {seen}\n"


class Metrics:
    """What a server counts of its requests; what its engines hold is asked of them when somebody looks."""

    def __init__(self) -> None:
        self.requests = Counter("enfold_requests_total", "Requests by route and status.", ("method", "route", "status"))
        self.seconds = Histogram("enfold_request_seconds", "From a request to the end of its answer.", ("route",))
        self.first_token = Histogram(
            "enfold_first_token_seconds", "From a request's coming to its first token.", ("model",)
        )
        self.between_tokens = Histogram("enfold_token_seconds", "Between two tokens of an answer.", ("model",))
        self.prompt_tokens = Counter("enfold_prompt_tokens_total", "Tokens of prompts.", ("model",))
        self.new_tokens = Counter("enfold_new_tokens_total", "Tokens of answers.", ("model",))
        self.ends = Counter("enfold_answers_total", "Answers by the reason of their end.", ("model", "reason"))
        self.refused = Counter("enfold_refused_total", "Answers that found the queue full.", ("model",))

    def lines(self) -> str:
        """Return the text of all of them."""
        return "".join(part.lines() for part in vars(self).values())
