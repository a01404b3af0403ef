"""How an answer is written, out of the fields of a request: OpenAI's, those that vLLM added, and TGI's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from enfold.log import get_logger
from enfold.serving.errors import ServingError

__all__ = ["Allowed", "Bias", "Fields", "Penalties", "Wish"]

logger = get_logger(__name__)


class Fields:
    """The fields of a request's body, each checked when it is asked for.

    Args:
        body: the JSON object.
        known: names that are understood beside those asked for; a name close to one of them is taken for a slip.
        prefix: what stands before a name in errors, such as ``"parameters."``.
    """

    def __init__(self, body: Mapping[str, Any], known: Iterable[str] = (), prefix: str = "") -> None:
        self.body, self.prefix = body, prefix
        names = set(known)
        for name in body:
            if names and name not in names:
                close = get_close_matches(name, names, n=1, cutoff=0.82)
                if close:
                    raise ServingError(f"unknown field {prefix}{name!r}; did you mean {close[0]!r}?", param=name)
                logger.debug("a request's field %r is not known and changes nothing", name)

    def __contains__(self, name: str) -> bool:
        return self.body.get(name) is not None

    def number(self, name: str, least: float | None = None, most: float | None = None, default: Any = None) -> Any:
        """Return a number between two bounds, both included."""
        value = self.body.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise self.wrong(name, f"must be a number, not {_told(value)}")
        if (least is not None and value < least) or (most is not None and value > most):
            span = f"at least {least}" if most is None else f"between {least} and {most}"
            raise self.wrong(name, f"is {value}; it must be {span}")
        return value

    def whole(self, name: str, least: int | None = None, most: int | None = None, default: Any = None) -> Any:
        """Return a whole number between two bounds, both included."""
        value = self.number(name, least, most, default)
        if value is not None and not isinstance(value, int):
            raise self.wrong(name, f"must be a whole number, not {value}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self.body.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, f"must be true or false, not {_told(value)}")
        return value

    def text(self, name: str, default: str | None = None) -> Any:
        """Return a text."""
        return self._of(name, str, "a text", default)

    def object(self, name: str) -> Any:
        """Return an object, or None."""
        return self._of(name, dict, "an object", None)

    def array(self, name: str) -> Any:
        """Return an array, or None."""
        return self._of(name, list, "an array", None)

    def texts(self, name: str, most: int) -> list[str]:
        """Return several texts, of which there may be one without an array."""
        value = self.body.get(name)
        found = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise self.wrong(name, "must be a text or an array of texts")
        if len(found) > most:
            raise self.wrong(name, f"has {len(found)} texts; at most {most} are accepted")
        return found

    def tokens(self, name: str, width: int) -> list[int]:
        """Return token ids."""
        found = self.array(name) or []
        if not all(isinstance(token, int) and 0 <= token < width for token in found):
            raise self.wrong(name, f"must be an array of token ids below {width}")
        return found

    def wrong(self, name: str, what: str) -> ServingError:
        """Return an error about a field."""
        return ServingError(f"{self.prefix}{name} {what}", param=f"{self.prefix}{name}")

    def _of(self, name: str, kind: type, called: str, default: Any) -> Any:
        value = self.body.get(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise self.wrong(name, f"must be {called}, not {_told(value)}")
        return value


def _told(value: Any) -> str:
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "an array"}
    return names.get(type(value), "an object" if isinstance(value, dict) else "null")


@dataclass
class Wish:
    """How the answers to one request are written.

    Attributes:
        options: fields of ``GenerationConfig``.
        count: how many answers.
        seed: of the first; the others' follow. None draws anew each time.
        logprobs: how many likely tokens are told for each place; None tells nothing.
        stops: strings that end an answer.
        keep_stop: leave such a string in the answer.
        skip_special: leave special tokens out of the text.
        presence, frequency: what a token loses for having come, once and each time.
        bias: token → what is added to its score.
        allowed: the only tokens that may come; None for all.
        grammar: (kind, value) that the answer keeps to, or None.
        grammar_param: the field that asked for it.
    """

    options: dict[str, Any] = field(default_factory=dict)
    count: int = 1
    seed: int | None = None
    logprobs: int | None = None
    stops: list[str] = field(default_factory=list)
    keep_stop: bool = False
    skip_special: bool = True
    presence: float = 0.0
    frequency: float = 0.0
    bias: dict[int, float] = field(default_factory=dict)
    allowed: list[int] | None = None
    grammar: tuple[str, Any] | None = None
    grammar_param: str = "response_format"

    def with_options(self, **options: Any) -> Wish:
        """Return a copy with further fields of ``GenerationConfig``."""
        return replace(self, options={**self.options, **options})

    def processors(self, prompt: int, constraint: Any = None) -> list[Any]:
        """Return what changes the scores of one answer, beside what the engine does for ``options``.

        Args:
            prompt: tokens before the answer.
            constraint: holds it to a grammar, or None.
        """
        found: list[Any] = []
        if self.presence or self.frequency:
            found.append(Penalties(prompt, self.presence, self.frequency))
        if self.bias:
            found.append(Bias(self.bias))
        if self.allowed is not None:
            found.append(Allowed(self.allowed))
        return [*found, *([] if constraint is None else [constraint])]


class Penalties:
    """Takes from the scores of tokens that the answer has: once each, and for each time.

    Args:
        prompt: tokens before the answer, which do not count.
        presence, frequency: how much; below 0 gives.

    Source: https://platform.openai.com/docs/api-reference (frequency and presence penalties).
    """

    def __init__(self, prompt: int, presence: float, frequency: float) -> None:
        self.prompt, self.presence, self.frequency = prompt, presence, frequency

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (1, V) for ids (1, T)."""
        written = ids[0, self.prompt :]
        if not len(written):
            return scores
        counts = torch.bincount(written, minlength=scores.shape[1])[: scores.shape[1]].to(scores)
        return scores - self.frequency * counts - self.presence * (counts > 0)


class Bias:
    """Adds to the scores of some tokens.

    Args:
        bias: token → how much.
    """

    def __init__(self, bias: Mapping[int, float]) -> None:
        self.places = torch.tensor(list(bias))
        self.values = torch.tensor(list(bias.values()), dtype=torch.float32)

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (1, V)."""
        return scores.index_add(1, self.places.to(scores.device), self.values[None].to(scores))


class Allowed:
    """Gives all tokens but some no chance.

    Args:
        tokens: those.
    """

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = torch.tensor(tokens)

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (1, V)."""
        tokens = self.tokens.to(scores.device)
        return torch.full_like(scores, -torch.inf).index_copy(1, tokens, scores.index_select(1, tokens))
