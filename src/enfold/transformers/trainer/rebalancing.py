"""``train_sampling_strategy="batch_rebalance"``: batches of many short rows or few long ones, equally dear."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

__all__ = ["BatchRebalanceSampler", "cost", "equally_dear", "in_steps"]

QUADRATIC = 0.001  # weight of attention, whose work grows with the square of the length


def cost(count: int, longest: int) -> float:
    """Return the work of a batch: rows padded to the longest, and attention over them.

    Example:
        >>> cost(2, 1000)
        4000.0
    """
    return count * (longest + QUADRATIC * longest * longest)


def equally_dear(lengths: Sequence[int], groups: int) -> list[int]:
    """Cut rows into groups of neighbours, so that the dearest group costs as little as it can.

    Args:
        lengths: of the rows, longest first.
        groups: how many; no more than rows.

    Returns:
        How many rows each group has, at least 1.

    Example:
        >>> equally_dear([100, 100, 10, 10, 10, 10], 3)
        [1, 1, 4]
    """
    if not 1 <= groups <= len(lengths):
        raise ValueError(f"{len(lengths)} rows cannot fill {groups} groups")
    return _halved(_at_least_cost(lengths, groups), lengths, groups)


def _at_least_cost(lengths: Sequence[int], groups: int) -> list[int]:
    """Return how many rows each group has, where the dearest costs least; it may take fewer groups."""
    low, high = cost(1, lengths[0]), cost(len(lengths), lengths[0])
    best = _within(lengths, low, groups)
    if best is None:
        best = _within(lengths, high, groups)
        for _ in range(60):
            if high - low <= 1e-9 * high:
                break
            middle = (low + high) / 2
            found = _within(lengths, middle, groups)
            low, high, best = (middle, high, best) if found is None else (low, middle, found)
    assert best is not None
    return best


def _halved(counts: list[int], lengths: Sequence[int], groups: int) -> list[int]:
    """Halve the dearest group that can be, until there are enough."""
    while len(counts) < groups:
        starts = [sum(counts[:place]) for place in range(len(counts))]
        able = [place for place in range(len(counts)) if counts[place] > 1]
        dearest = max(able, key=lambda place: cost(counts[place], lengths[starts[place]]))
        half = counts[dearest] // 2
        counts[dearest : dearest + 1] = [counts[dearest] - half, half]
    return counts


def _within(lengths: Sequence[int], most: float, groups: int) -> list[int] | None:
    """Fill groups up to a cost; None where that takes more groups than there are."""
    counts: list[int] = []
    start = 0
    while start < len(lengths):
        size = min(int(most / max(cost(1, lengths[start]), 1e-12) + 1e-9), len(lengths) - start)
        if size < 1 or len(counts) == groups:
            return None
        counts.append(size)
        start += size
    return counts


def in_steps(lengths: Sequence[int], processes: int, steps: int) -> list[list[list[int]]]:
    """Divide rows among processes that wait for one another at every step.

    A step takes as long as its dearest batch. Where one long row costs more than a fair share, its step is long
    whatever else is in it: the other processes then take as much as fits, and the later steps are shorter. Which rows
    go with it is tried in several ways, of which the shortest in all counts.

    Args:
        lengths: of the rows, longest first.
        processes: batches of a step.
        steps: how many; with ``processes``, no more batches than rows.

    Returns:
        For each step, and each process, the places of its rows in ``lengths``; at least one, the longest first.

    Example:
        >>> in_steps([100, 100, 10, 10, 10, 10], 1, 2)
        [[[0, 1]], [[2, 3, 4, 5]]]
    """
    ways = [_at_once(lengths, processes, steps)]
    if steps > 1:
        ways += [_one_by_one(lengths, processes, steps, longest_first) for longest_first in (False, True)]
    return min(ways, key=lambda way: sum(max(_dear(lengths, batch) for batch in step) for step in way))


def _dear(lengths: Sequence[int], rows: Sequence[int]) -> float:
    return cost(len(rows), lengths[rows[0]])


def _at_once(lengths: Sequence[int], processes: int, steps: int) -> list[list[list[int]]]:
    """Make all batches as alike as they can be, and give the dearest to the first step."""
    made, start = [], 0
    for size in equally_dear(lengths, processes * steps):
        made.append(list(range(start, start + size)))
        start += size
    made.sort(key=lambda rows: -_dear(lengths, rows))
    return [made[step * processes : (step + 1) * processes] for step in range(steps)]


def _one_by_one(lengths: Sequence[int], processes: int, steps: int, longest_first: bool) -> list[list[list[int]]]:
    """Fill one step after another with what leaves least to the later ones."""
    left, found = list(range(len(lengths))), []
    for step in range(steps):
        later = processes * (steps - step - 1)
        now = [lengths[row] for row in left]
        counts = _halved(_at_least_cost(now, processes + later), now, processes)
        ends = [sum(counts[: place + 1]) for place in range(len(counts))]
        batches = [left[end - size : end] for size, end in zip(counts, ends, strict=True)]
        if not longest_first:
            batches.sort(key=lambda rows: -_dear(lengths, rows))
        batches = batches[:processes]
        while sum(map(len, batches)) > len(left) - later:  # later batches have a row, too
            max(batches, key=len).pop()
        taken = {row for rows in batches for row in rows}
        left = [row for row in left if row not in taken]
        found.append(batches)
    return found


class BatchRebalanceSampler(Sampler[list[int]]):
    """Gives a process's batches: every update has as many rows, and the processes have equally much to do.

    The rows of each update are drawn at random, sorted by length and cut into a batch for each process and each batch
    of the window; batches that are equally dear are computed at the same time, so that nobody waits long. All
    processes work out the same batches and take their own.

    Args:
        lengths: length of each row.
        effective_batch_size: rows of an update, on all processes.
        dp_size: processes that read different rows.
        grad_accum: batches of an update, on each process.
        shuffle: draw the rows at random.
        seed: of that.
        rank: which process this is.
        drop_last: leave out rows that do not fill an update; otherwise the last is smaller, rows of it repeated where
            a batch would be empty.

    Example:
        >>> sampler = BatchRebalanceSampler([9, 1, 1, 1, 9, 1, 1, 1], 8, dp_size=1, grad_accum=2, shuffle=False)
        >>> list(sampler)
        [[0, 4], [1, 2, 3, 5, 6, 7]]
    """

    def __init__(
        self,
        lengths: Sequence[int],
        effective_batch_size: int,
        dp_size: int,
        grad_accum: int,
        shuffle: bool = True,
        seed: int = 42,
        rank: int = 0,
        drop_last: bool = True,
    ) -> None:
        if dp_size < 1 or grad_accum < 1 or effective_batch_size < dp_size * grad_accum:
            raise ValueError(
                f"an update of {effective_batch_size} rows cannot fill {grad_accum} batches on {dp_size} processes"
            )
        self.lengths, self.effective_batch_size = list(lengths), effective_batch_size
        self.dp_size, self.grad_accum, self.rank = dp_size, grad_accum, rank
        self.shuffle, self.seed, self.drop_last, self.epoch = shuffle, seed, drop_last, 0
        whole = len(self.lengths) / effective_batch_size
        self.num_global_batches = math.floor(whole) if drop_last else math.ceil(whole)

    def __len__(self) -> int:
        return self.num_global_batches * self.grad_accum

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        count, groups = len(self.lengths), self.dp_size * self.grad_accum
        order: list[int] = torch.randperm(count, generator=generator).tolist() if self.shuffle else list(range(count))
        for number in range(self.num_global_batches):
            rows = order[number * self.effective_batch_size : (number + 1) * self.effective_batch_size]
            missing = groups - len(rows)
            if missing > 0:
                rows = rows + (order * math.ceil(missing / count))[:missing]
            yield from self._own(rows)

    def _own(self, rows: list[int]) -> Iterator[list[int]]:
        rows = sorted(rows, key=lambda row: -self.lengths[row])
        for batches in in_steps([self.lengths[row] for row in rows], self.dp_size, self.grad_accum):
            batches.sort(key=lambda places: -cost(len(places), self.lengths[rows[places[0]]]))
            yield [rows[place] for place in batches[self.rank]]
