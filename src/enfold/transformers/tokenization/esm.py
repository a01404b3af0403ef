"""ESM's tokenizer: a token an amino acid."""

from __future__ import annotations

import os
import re
from typing import Any

from enfold.transformers.tokenization.python import PreTrainedTokenizer

__all__ = ["EsmTokenizer"]


class EsmTokenizer(PreTrainedTokenizer):
    """ESM's tokenizer: every token of the vocabulary is found wherever it stands; ``<cls> A <eos>``.

    Args:
        vocab_file: vocab.txt, a token a line.
        kwargs: as for every tokenizer.
    """

    vocab_files_names = {"vocab_file": "vocab.txt"}
    needed_files = ("vocab_file",)
    default_tokens = {
        "unk_token": "<unk>",
        "cls_token": "<cls>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
        "eos_token": "<eos>",
    }

    def __init__(self, vocab_file: str, **kwargs: Any) -> None:
        with open(vocab_file, encoding="utf-8") as file:
            self.all_tokens = [line.strip() for line in file.read().splitlines()]
        self._ids = {token: id for id, token in enumerate(self.all_tokens)}
        longest = sorted(filter(None, self.all_tokens), key=len, reverse=True)
        self._found = re.compile("(" + "|".join(map(re.escape, longest)) + ")")
        super().__init__(**kwargs)

    @property
    def vocab_size(self) -> int:
        """Tokens of vocab.txt."""
        return len(self.all_tokens)

    def get_vocab(self) -> dict[str, int]:
        """Return token → id."""
        return dict(self._ids)

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        parts = self._found.split(text)  # what lies between tokens, and the tokens, in turns
        return [token for at, part in enumerate(parts) for token in ([part] if at % 2 else part.split())]

    def _convert_token_to_id(self, token: str) -> int | None:
        return self._ids.get(token, self._ids.get(self.unk_token))

    def _convert_id_to_token(self, index: int) -> str | None:
        return self.all_tokens[index] if 0 <= index < len(self.all_tokens) else self.unk_token

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return ``<cls> A <eos>``, or ``<cls> A <eos> B <eos>``.

        Raises:
            ValueError: a pair without an end token to tell the two apart.
        """
        end = [] if self.eos_token_id is None else [self.eos_token_id]
        if token_ids_1 is None:
            return [self.cls_token_id, *token_ids_0, *end]
        if not end:
            raise ValueError("a pair needs an end token between its texts: set eos_token")
        return [self.cls_token_id, *token_ids_0, *end, *token_ids_1, *end]

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write vocab.txt and return its path."""
        path = os.path.join(save_directory, f"{filename_prefix}-vocab.txt" if filename_prefix else "vocab.txt")
        with open(path + ".part", "w", encoding="utf-8", newline="\n") as file:
            file.write("\n".join(self.all_tokens))
        os.replace(path + ".part", path)
        return (path,)
