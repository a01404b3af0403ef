"""What a text must contain: phrases, and how far a text has come with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from enfold.transformers.generation.config import GenerationError

__all__ = ["Constraint", "ConstraintListState", "DisjunctiveConstraint", "PhrasalConstraint", "constraints_of"]


class Constraint:
    """Base of what must be written: progress token by token, from nothing to ``completed``.

    A class of one's own says which tokens go on (``advance``), takes a token (``update``), begins anew (``reset``),
    counts what is missing (``remaining``), and copies itself (``copy``). ``seqlen`` is its length in tokens at most.
    """

    seqlen: int
    completed: bool = False

    def advance(self) -> int | list[int] | None:
        """Return the tokens, or the only one, that would go on; None when it is completed."""
        raise TypeError(f"{type(self).__name__} does not say how to go on: define advance")

    def does_advance(self, token_id: int) -> bool:
        """Return whether a token would go on."""
        tokens = self.advance()
        return token_id in tokens if isinstance(tokens, list) else token_id == tokens

    def update(self, token_id: int) -> tuple[bool, bool, bool]:
        """Take a token and return whether it went on, whether this completed it, and whether it begins anew."""
        raise TypeError(f"{type(self).__name__} does not take tokens: define update")

    def reset(self) -> None:
        """Begin anew."""
        raise TypeError(f"{type(self).__name__} does not begin anew: define reset")

    def remaining(self) -> int:
        """Return how many tokens are missing at most."""
        raise TypeError(f"{type(self).__name__} does not count: define remaining")

    def copy(self, stateful: bool = False) -> Any:
        """Return a new one, as far as this one has come with ``stateful=True``."""
        raise TypeError(f"{type(self).__name__} does not copy itself: define copy")


class DisjunctiveConstraint(Constraint):
    """One of several phrases must be written.

    Args:
        nested_token_ids: the phrases; none may begin another.

    Raises:
        GenerationError: for anything else.

    Example:
        >>> either = DisjunctiveConstraint([[4, 5], [6]])
        >>> either.advance(), either.update(4), either.advance(), either.update(5)
        ([4, 6], (True, False, False), [5], (True, True, False))
    """

    def __init__(self, nested_token_ids: Sequence[Sequence[int]]) -> None:
        self.token_ids = [_phrase(phrase) for phrase in _listed(nested_token_ids)]
        for one in self.token_ids:
            if sum(other[: len(one)] == one for other in self.token_ids) > 1:
                raise GenerationError(f"the phrase {one} is there twice or begins another: {self.token_ids}")
        self.seqlen = max(map(len, self.token_ids))
        self.current_seq: tuple[int, ...] = ()

    @property
    def completed(self) -> bool:  # type: ignore[override]
        """Whether a phrase is written."""
        return list(self.current_seq) in self.token_ids

    def advance(self) -> list[int] | None:
        """See ``Constraint``."""
        made = len(self.current_seq)
        ahead = [p[made] for p in self.token_ids if len(p) > made and tuple(p[:made]) == self.current_seq]
        return list(dict.fromkeys(ahead)) or None

    def does_advance(self, token_id: int) -> bool:
        """See ``Constraint``."""
        return token_id in (self.advance() or ())

    def update(self, token_id: int) -> tuple[bool, bool, bool]:
        """See ``Constraint``."""
        if not self.does_advance(token_id):
            self.reset()
            return False, False, True
        self.current_seq += (token_id,)
        return True, self.completed, False

    def reset(self) -> None:
        """See ``Constraint``."""
        self.current_seq = ()

    def remaining(self) -> int:
        """See ``Constraint``."""
        return 0 if self.completed else self.seqlen - len(self.current_seq)

    def copy(self, stateful: bool = False) -> DisjunctiveConstraint:
        """See ``Constraint``."""
        other = type(self)(self.token_ids)
        if stateful:
            other.current_seq = self.current_seq
        return other


class PhrasalConstraint(DisjunctiveConstraint):
    """A phrase must be written, its tokens one after the other.

    Args:
        token_ids: the phrase.

    Raises:
        GenerationError: for no tokens, and for what is none.

    Example:
        >>> phrase = PhrasalConstraint([4, 5])
        >>> phrase.advance(), phrase.update(4), phrase.remaining(), phrase.update(7), phrase.remaining()
        (4, (True, False, False), 1, (False, False, True), 2)
    """

    def __init__(self, token_ids: Sequence[int]) -> None:
        super().__init__([_phrase(token_ids)])
        self.token_ids: Any = self.token_ids[0]

    @property
    def completed(self) -> bool:  # type: ignore[override]
        """Whether the phrase is written."""
        return len(self.current_seq) == self.seqlen

    def advance(self) -> int | None:  # type: ignore[override]
        """See ``Constraint``."""
        return None if self.completed else self.token_ids[len(self.current_seq)]

    def does_advance(self, token_id: int) -> bool:
        """See ``Constraint``."""
        return token_id == self.advance()


class ConstraintListState:
    """How far a text has come with several constraints; one is worked on at a time.

    Args:
        constraints: what must be written.

    Example:
        >>> state = ConstraintListState([PhrasalConstraint([4, 5]), PhrasalConstraint([6])])
        >>> state.advance(), state.add(4), state.advance(), state.get_bank()
        ([4, 6], (False, True), [5], 1)
        >>> state.reset([1, 4, 5, 6]), state.completed
        (None, True)
    """

    def __init__(self, constraints: Sequence[Constraint]) -> None:
        self.constraints = constraints
        self.max_seqlen = max(constraint.seqlen for constraint in constraints)
        self.done = 0  # how many are written
        self.current: Constraint | None = None  # the one that is begun
        self.pending: list[Constraint] = []  # those that are left
        self.reset(None)

    @property
    def completed(self) -> bool:
        """Whether everything is written."""
        return not self.pending and self.current is None

    def get_bank(self) -> int:
        """Return how far the text has come, in tokens."""
        begun = 0 if self.current is None else self.max_seqlen - self.current.remaining()
        return self.done * self.max_seqlen + begun

    def advance(self) -> list[int] | None:
        """Return the tokens that would go on: with what is begun, or else with anything that is left."""
        found: list[int] = []
        for constraint in self.pending if self.current is None else [self.current]:
            tokens = constraint.advance()
            found += tokens if isinstance(tokens, list) else [] if tokens is None else [tokens]
        return found or None

    def reset(self, token_ids: Iterable[int] | None) -> None:
        """Begin anew and take the tokens of a text."""
        self.done, self.current = 0, None
        self.pending = [constraint.copy() for constraint in self.constraints]
        for token in token_ids or ():
            self.add(token)
            if self.completed:
                break

    def add(self, token_id: int) -> tuple[bool, bool]:
        """Take a token and return whether it completed a constraint, and whether it went on with one."""
        if self.completed:
            return True, False
        constraint = self.current
        if constraint is None:
            constraint = next((one for one in self.pending if one.does_advance(token_id)), None)
            if constraint is None:
                return False, False
            self.pending.remove(constraint)
        stepped, completed, broken = constraint.update(token_id)
        self.current = constraint
        if broken:
            self.pending.append(constraint.copy())
        if broken or completed:
            self.current = None
        self.done += completed
        return completed, stepped

    def copy(self, stateful: bool = True) -> ConstraintListState:
        """Return a new one, as far as this one has come with ``stateful=True``."""
        other = type(self)(self.constraints)
        if stateful:
            other.done = self.done
            other.current = None if self.current is None else self.current.copy(stateful=True)
            other.pending = [constraint.copy() for constraint in self.pending]
        return other


def constraints_of(constraints: Sequence[Constraint] | None, force_words_ids: Any) -> list[Constraint]:
    """Return all constraints that ``generate`` was given.

    Args:
        constraints: made ones, or None.
        force_words_ids: phrases that must be written; a list of phrases stands for one of them. Or None.

    Raises:
        GenerationError: for what is neither.

    Example:
        >>> [type(one).__name__ for one in constraints_of(None, [[5, 6], [[7], [8, 9]]])]
        ['PhrasalConstraint', 'DisjunctiveConstraint']
    """
    found = list(constraints or ())
    for words in [] if force_words_ids is None else _listed(force_words_ids):
        several = isinstance(words, list | tuple) and len(words) > 0 and isinstance(words[0], list | tuple)
        found.append(DisjunctiveConstraint(words) if several else PhrasalConstraint(words))
    for constraint in found:
        if not hasattr(constraint, "advance"):
            raise GenerationError(f"constraints must be Constraint objects, not {type(constraint).__name__}")
    return found


def _listed(value: Any) -> Any:
    if not isinstance(value, list | tuple) or not value:
        raise GenerationError(f"what must be written is a list of phrases, such as [[5, 6], [7]], not {value!r}")
    return value


def _phrase(tokens: Any) -> list[int]:
    good = isinstance(tokens, list | tuple) and len(tokens) > 0
    if not good or any(isinstance(token, bool) or not isinstance(token, int) or token < 0 for token in tokens):
        raise GenerationError(f"a phrase is a list of token ids, such as [5, 6], not {tokens!r}")
    return list(tokens)
