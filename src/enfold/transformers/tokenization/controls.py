"""Control tokens that a user writes into a message, encoded as the text that they are.

Each is put between two private characters before the template is rendered; what the template writes itself is not.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from enfold.transformers.tokenization.sandbox import literal_text

__all__ = ["control_tokens", "encode_marked", "mark"]

_BEGIN, _END = "\U000f0000", "\U000f0001"


def control_tokens(tokenizer: Any, template: str) -> tuple[str, ...]:
    """Return the tokens of ``tokenizer`` that mean something in conversations.

    These are the special tokens with those of ``tokenizer.chat_control_tokens``; where that is not set, with the added
    tokens that the template writes.
    """
    listed = getattr(tokenizer, "chat_control_tokens", None)
    text = literal_text(template) if listed is None else ""
    return tuple(
        token.content
        for token in tokenizer.added_tokens_decoder.values()
        if token.special
        or (token.content in listed if listed is not None else token.content in text and not token.content.isspace())
    )


@functools.lru_cache(maxsize=32)
def _any(tokens: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or r"(?!)")


def mark(value: Any, tokens: tuple[str, ...]) -> Any:
    """Return texts, lists and dictionaries with every control token in their texts marked; keys stay.

    Example:
        >>> mark({"content": "a<s>"}, ("<s>",)) == {"content": "a\\U000f0000<s>\\U000f0001"}
        True
    """
    if isinstance(value, str):
        # marks that a user wrote would say what is a token and what is not
        return _any(tokens).sub(rf"{_BEGIN}\g<0>{_END}", value.replace(_BEGIN, "").replace(_END, ""))
    if isinstance(value, dict):
        return {key: mark(item, tokens) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mark(item, tokens) for item in value]
    return value


def encode_marked(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a rendered conversation in which marked tokens are text.

    Raises:
        ValueError: the vocabulary makes a token of its own text, so that the two cannot be told apart.
    """
    known = _any(tuple(tokenizer.added_tokens_encoder)).pattern
    pieces = re.split(f"{_BEGIN}({known}){_END}|[{_BEGIN}{_END}]", text)
    # The middle of a text is encoded after a line break, or it would get the space that SentencePiece begins with.
    newline = tokenizer.encode("\n", add_special_tokens=False)
    ids = tokenizer.encode(pieces[0], add_special_tokens=False)
    for place, piece in enumerate(pieces[1:], 1):
        if not piece:
            continue
        marked = place % 2 == 1
        encode = _as_text if marked else _normally
        made = encode(tokenizer, "\n" + piece)
        made = made[len(newline) :] if made[: len(newline)] == newline else encode(tokenizer, piece)
        if marked and tokenizer.convert_tokens_to_ids(piece) in made:
            raise ValueError(f"{piece!r} cannot be text for this tokenizer: its vocabulary makes the token of it")
        ids += made
    return ids


def _normally(tokenizer: Any, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def _as_text(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a text in which no added token, special or not, is looked for."""
    core = tokenizer.backend_tokenizer
    if not hasattr(core, "normalizer"):  # written in Python
        return tokenizer.convert_tokens_to_ids(tokenizer._tokenize(text))
    if core.normalizer is not None:
        text = core.normalizer.normalize_str(text)
    words = [text] if core.pre_tokenizer is None else [word for word, _ in core.pre_tokenizer.pre_tokenize_str(text)]
    return [token.id for word in words for token in core.model.tokenize(word)]
