"""What is read next: tokens of those that write, pieces of prompts, and who has to wait for memory."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from enfold.transformers.generation.engine.blocks import Blocks
from enfold.transformers.generation.engine.prefix import Prefixes
from enfold.transformers.generation.engine.requests import Request, Status

__all__ = ["Piece", "Scheduler"]


class Piece(NamedTuple):
    """New tokens of a request that are read in one step, from position ``first`` to before ``last``."""

    request: Request
    first: int
    last: int

    @property
    def is_last(self) -> bool:
        """Whether a new token follows."""
        return self.last == self.request.length


class Scheduler:
    """Decides, step by step, which tokens are read.

    Those that write come first, one token each, so that nobody waits for another's prompt; what is left of a step's
    tokens goes to prompts, in pieces, in the order in which they came. A request is admitted when its prompt fits. When
    memory runs out, the request that came last gives its blocks back, and reads again what it lost later on.

    Args:
        blocks: the memory.
        prefixes: beginnings that were read before, or None to share none.
        running: how many requests are worked on at once, at most.
        tokens: how many tokens a step reads at most.
    """

    def __init__(self, blocks: Blocks, prefixes: Prefixes | None, running: int, tokens: int) -> None:
        self.blocks, self.prefixes = blocks, prefixes
        self.most_running, self.most_tokens = running, tokens
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        self.preemptions = 0

    def plan(self) -> list[Piece]:
        """Return what is read in the next step."""
        pieces: list[Piece] = []
        left = self.most_tokens
        ordered = sorted(self.running, key=lambda request: request.length - request.filled > 1)  # stable
        for request in ordered:
            if left and request.status is Status.RUNNING and request in self.running:
                left -= self._read(request, left, pieces)
        while left and self.waiting and len(self.running) < self.most_running and self._admit(self.waiting[0]):
            request = self.waiting.popleft()
            self.running.append(request)
            left -= self._read(request, left, pieces)
        return pieces

    def done(self, piece: Piece) -> None:
        """Take note that a piece was read: its full blocks can be shared."""
        request = piece.request
        request.filled = piece.last
        if self.prefixes is None:
            return
        size = self.blocks.size
        while len(request.numbers) < request.filled // size:
            place = len(request.numbers)
            before = request.numbers[-1] if request.numbers else None
            tokens = request.ids[0, place * size : (place + 1) * size].tolist()
            request.numbers.append(self.prefixes.add(request.blocks[place], before, tokens, request.salt))

    def drop(self, request: Request) -> None:
        """Work on a request no more."""
        if request in self.running:
            self.running.remove(request)
        elif request in self.waiting:
            self.waiting.remove(request)
        self._free(request)

    def _free(self, request: Request) -> None:
        self.blocks.release(request.blocks)
        request.blocks, request.numbers, request.filled = [], [], 0

    def _read(self, request: Request, left: int, pieces: list[Piece]) -> int:
        """Plan as many tokens of a request as fit, and return how many."""
        count = min(request.length - request.filled, left)
        while not self._grow(request, request.filled + count):
            if not self._preempt(request, pieces):
                return 0
        pieces.append(Piece(request, request.filled, request.filled + count))
        return count

    def _grow(self, request: Request, positions: int) -> bool:
        """Take blocks until a request has room for so many positions; return whether there were enough."""
        expected = self.blocks.needed(request.config.max_length)
        while len(request.blocks) < self.blocks.needed(positions):
            after = request.blocks[-1] if request.blocks else None
            block = self.blocks.take(after, expected - len(request.blocks))
            if block is None:
                if self.prefixes is None or not self.prefixes.drop():
                    return False
                continue
            request.blocks.append(block)
        return True

    def _preempt(self, request: Request, pieces: list[Piece]) -> bool:
        """Take the blocks of the request that came last, unless it is this one or has its turn already."""
        planned = {id(piece.request) for piece in pieces}
        last = next((other for other in reversed(self.running) if id(other) not in planned), request)
        if last is not request:
            self._back(last)
            return True
        if len(self.running) > 1 and pieces:
            self._back(request)
        return False

    def _back(self, request: Request) -> None:
        self.running.remove(request)
        self._free(request)
        request.status = Status.WAITING
        self.waiting.appendleft(request)
        self.preemptions += 1

    def _admit(self, request: Request) -> bool:
        """Return whether a request's prompt fits; then what others have read of it is its own already."""
        tokens = request.ids[0, : request.length].tolist()
        known = [] if self.prefixes is None else self.prefixes.find(tokens, request.salt)
        idle = 0 if self.prefixes is None else self.prefixes.idle
        taken = sum(1 for block, _ in known if not self.blocks.holders[block])  # of those idle, it takes these
        wanted = self.blocks.needed(request.length) - len(known)
        # Everybody who runs may need a block soon: leave one each.
        if self.running and self.blocks.free + idle - taken < wanted + len(self.running):
            return False
        for block, number in known:
            assert self.prefixes is not None
            self.prefixes.share(block)
            request.blocks.append(block)
            request.numbers.append(number)
        request.filled = len(known) * self.blocks.size
        if not request.new_tokens:
            request.cached_tokens = request.filled
        request.status = Status.RUNNING
        return True
