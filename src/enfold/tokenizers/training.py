"""Feeding texts to a counter of words, and a trainer with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from enfold import _native
from enfold.errors import EnfoldError
from enfold.progress import Progress
from enfold.tokenizers.component import _changes

if TYPE_CHECKING:
    from enfold.tokenizers.added import AddedToken
    from enfold.tokenizers.tokenizer import Tokenizer
    from enfold.tokenizers.trainer import Trainer

__all__ = ["TrainingError", "feed_files", "feed_iterator", "finish", "install"]

_BLOCK = 16 << 20  # bytes of a file at a time
_BATCH_TEXTS, _BATCH_CHARACTERS = 1 << 16, 8 << 20


class TrainingError(EnfoldError, ValueError):
    """Texts that cannot be trained on, or a trainer for another kind of model."""


def feed_files(counter: _native.WordCounter, files: Iterable[str | os.PathLike[str]], quiet: bool) -> None:
    """Count the words of text files, each line a text.

    Raises:
        TypeError: ``files`` is one path rather than a list.
        FileNotFoundError: there is no such file.
        TrainingError: a file is not UTF-8.
    """
    if isinstance(files, str | bytes | os.PathLike):
        raise TypeError("train() takes a list of files, not one path")
    paths = [os.fspath(path) for path in files]
    with Progress(sum(os.path.getsize(path) for path in paths), "Pre-processing files", unit="B", quiet=quiet) as bar:
        for path in paths:
            with open(path, "rb") as file:
                rest, before = b"", 0
                while block := file.read(_BLOCK):
                    # A line is counted as a whole; what follows the last line break waits for the next block.
                    size = len(rest) + block.rfind(b"\n") + 1 if b"\n" in block else 0
                    text = rest + block if rest else block
                    if size:
                        _feed_lines(counter, text, size, path, before)
                    rest, before = text[size:], before + size
                    bar.advance(len(block))
                if rest:
                    _feed_lines(counter, rest, len(rest), path, before)


def _feed_lines(counter: _native.WordCounter, text: bytes, size: int, path: str, before: int) -> None:
    bad = counter.feed_lines(text, size)
    if bad >= 0:
        raise TrainingError(
            f"{path} is not UTF-8: byte 0x{text[bad]:02x} at offset {before + bad:,}; convert the file, or read it "
            'with its own encoding and use train_from_iterator(open(path, encoding="..."))'
        )


def _is_arrow(item: Any) -> bool:
    return hasattr(item, "__arrow_c_array__") or hasattr(item, "__arrow_c_stream__")


def feed_iterator(counter: _native.WordCounter, iterator: Any, length: int | None, quiet: bool) -> None:
    """Count the words of texts, of lists of texts, or of Arrow columns of texts.

    Raises:
        TypeError: an item is something else.
    """
    with Progress(length, "Pre-processing sequences", quiet=quiet) as bar:
        if _is_arrow(iterator):
            counter.feed(iterator)
            bar.advance(len(iterator) if hasattr(iterator, "__len__") else 0)
            return
        batch: list[str] = []
        characters = 0
        for item in iterator:
            if isinstance(item, str):
                batch.append(item)
                characters += len(item)
            elif _is_arrow(item):
                counter.feed(item)
                bar.advance(len(item) if hasattr(item, "__len__") else 1)
                continue
            else:
                for text in item:
                    if not isinstance(text, str):
                        raise TypeError(f"'{type(text).__name__}' object is not an instance of 'str'")
                    batch.append(text)
                    characters += len(text)
            bar.advance()
            if len(batch) >= _BATCH_TEXTS or characters >= _BATCH_CHARACTERS:
                counter.feed(batch)
                batch, characters = [], 0
        if batch:
            counter.feed(batch)


def finish(tokenizer: Tokenizer, trainer: Trainer, counter: _native.WordCounter) -> None:
    """Train on what was counted, and give the tokenizer's model its new vocabulary.

    Nothing of the tokenizer changes unless all went well.
    """
    install(tokenizer, lambda: trainer._train(counter, tokenizer.model), trainer._values["special_tokens"])


def install(tokenizer: Tokenizer, train: Callable[[], Any], special_tokens: Sequence[AddedToken]) -> None:
    """Train, and give the tokenizer's model the core that comes of it and the tokenizer its special tokens."""
    model = tokenizer.model
    try:
        core = train()
    except (ValueError, OverflowError) as error:
        raise TrainingError(str(error)) from None
    # The model stays the same object: whoever holds it sees the new vocabulary.
    model._core = core
    _changes[0] += 1
    tokenizer.add_special_tokens(list(special_tokens))
