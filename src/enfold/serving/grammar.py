"""Answers that keep to a schema, an expression or a grammar: what may come next is decided token by token.

The masks are llguidance's (https://github.com/guidance-ai/llguidance).
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.errors import MissingExtra
from enfold.log import get_logger
from enfold.serving.errors import ServingError

__all__ = ["Constraint", "Grammars"]

logger = get_logger(__name__)

KEPT = 64  # grammars that are kept ready
# Between the parts of an object there may be some space, but not so much that an answer is nothing else.
SPACED: Any = {"whitespace_pattern": r"[ \n]{0,40}"}
TIGHT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Grammars:
    """Grammars over one vocabulary; compiling may take a while and is done off the event loop.

    Args:
        tokenizer: whose tokens.
        width: how many scores the model gives.
        ends: tokens that end a text.
        limit: characters of a schema.
    """

    def __init__(self, tokenizer: Any, width: int, ends: Sequence[int], limit: int = 200_000) -> None:
        self._tokenizer, self._width, self._ends, self._limit = tokenizer, width, list(ends), limit
        self._words: Any = None
        self._ready: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._lock = threading.Lock()

    def constraint(self, kind: str, value: Any, prompt: int, param: str = "response_format") -> Constraint:
        """Return what holds one answer to a grammar.

        Args:
            kind: ``"json"`` (a schema), ``"regex"``, ``"choice"`` (a list of texts) or ``"lark"``.
            value: of that kind.
            prompt: tokens before the answer.
            param: the field that asked, for errors.

        Raises:
            ServingError: 400 for what cannot be met or is not understood, with the reason.
        """
        text = value if isinstance(value, str) else json.dumps(value)
        if len(text) > self._limit:
            raise ServingError(
                f"the {kind} has {len(text)} characters; at most {self._limit} are accepted", param=param
            )
        with self._lock:
            key = (kind, text)
            if key not in self._ready:
                self._ready[key] = self._compiled(kind, value, param)
                if len(self._ready) > KEPT:
                    self._ready.popitem(last=False)
            self._ready.move_to_end(key)
            matcher = self._ready[key].deep_copy()
        return Constraint(matcher, self._ends, prompt)

    def _compiled(self, kind: str, value: Any, param: str) -> Any:
        try:
            from llguidance import LLMatcher
        except ImportError:
            raise ServingError(
                str(MissingExtra("answers that keep to a schema", "serving")), 501, param=param
            ) from None
        words = self._vocabulary(param)
        try:
            if kind == "json":
                schema = {"allOf": [value]} if isinstance(value, bool) else value
                grammar = LLMatcher.grammar_from_json_schema(schema, defaults=TIGHT if param == "tools" else SPACED)
            elif kind == "regex":
                grammar = LLMatcher.grammar_from_regex(value)
            elif kind == "choice":
                grammar = LLMatcher.grammar_from_lark("start: " + " | ".join(json.dumps(text) for text in value))
            else:
                grammar = LLMatcher.grammar_from_lark(value)
            matcher = LLMatcher(words, grammar, log_level=0)
        except (TypeError, ValueError) as error:
            raise ServingError(f"the {kind} is not understood: {error}", param=param) from None
        if matcher.is_error():
            reason = matcher.get_error().strip().splitlines()[0]
            raise ServingError(f"no answer can keep to this {kind}: {reason}", param=param, code="invalid_schema")
        return matcher

    def _vocabulary(self, param: str) -> Any:
        if self._words is None:
            from llguidance import LLTokenizer

            try:
                core = self._tokenizer.backend_tokenizer.to_str()
                self._words = LLTokenizer(core, n_vocab=self._width, eos_token=self._ends or None)
            except (ValueError, RuntimeError) as error:
                reason = str(error).strip().splitlines()[0]
                message = f"this model's tokenizer cannot be held to a grammar: {reason}"
                raise ServingError(message, param=param) from None
        return self._words


class Constraint:
    """Gives the tokens that a grammar does not allow no chance; a step of the engine for one answer.

    It never raises: when the grammar can go no further, the text ends there.

    Args:
        matcher: llguidance's, at the beginning of the grammar.
        ends: tokens that end a text.
        prompt: tokens before the answer.
    """

    def __init__(self, matcher: Any, ends: Sequence[int], prompt: int) -> None:
        self._matcher, self._ends, self._read = matcher, list(ends), prompt
        self.error: str | None = None

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (1, V) for ids (1, T)."""
        allowed = self._allowed(ids[0, self._read :].tolist(), scores.shape[1])
        self._read = ids.shape[1]
        kept = scores.masked_fill(~allowed.to(scores.device), -torch.inf)
        if not bool(torch.isfinite(kept).any()):  # what else was asked for rules out everything that may come
            kept = torch.zeros_like(scores).masked_fill(~allowed.to(scores.device), -torch.inf)
        return kept

    def _allowed(self, fresh: list[int], width: int) -> Tensor:
        matcher = self._matcher
        for token in fresh:
            if not matcher.is_error() and not matcher.is_stopped():
                matcher.consume_token(token)
        bits = b"" if matcher.is_error() else matcher.compute_bitmask()
        if matcher.is_error():
            if self.error is None:
                self.error = matcher.get_error()
                logger.warning("a grammar could go no further: %s", self.error)
            bits = b""
        allowed = torch.zeros(1, width, dtype=torch.bool)
        if bits:
            found = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[:width]
            allowed[0, : len(found)] = torch.from_numpy(found).bool()
        if not bits or not bool(allowed.any()):
            allowed[0, self._ends] = True
        return allowed
