"""Decoding: ids back to text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["Decoding", "plain_ids"]


class Decoding:
    """``decode`` and what belongs to it for tokenizers."""

    _tokenizer: Any
    clean_up_tokenization_spaces: bool

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the text of ids, or the texts of several rows of ids.

        Args:
            token_ids: an id, a list or an array of ids [tokens], or of rows [batch, tokens].
            skip_special_tokens: leave special tokens out.
            clean_up_tokenization_spaces: remove spaces before punctuation; the tokenizer's setting by default.
        """
        ids = plain_ids(token_ids)
        clean = (
            self.clean_up_tokenization_spaces if clean_up_tokenization_spaces is None else clean_up_tokenization_spaces
        )
        if ids and not isinstance(ids[0], int):
            rows = [plain_ids(row) for row in ids]
            texts = self._tokenizer.decode_batch(rows, skip_special_tokens=skip_special_tokens)
            texts = [self._after_decoding(text) for text in texts]
            return [self.clean_up_tokenization(text) for text in texts] if clean else texts
        text = self._after_decoding(self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))
        return self.clean_up_tokenization(text) if clean else text

    def _after_decoding(self, text: str) -> str:
        """Finish a decoded text; families override this."""
        return text

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Return the texts of several rows of ids; arguments as for ``decode``."""
        rows = plain_ids(sequences)
        if rows and isinstance(rows[0], int):
            rows = [[row] for row in rows]
        return self.decode(rows, skip_special_tokens, clean_up_tokenization_spaces, **kwargs) if rows else []

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Return the text that tokens stand for."""
        decoder = self._tokenizer.decoder
        return decoder.decode(list(tokens)) if decoder is not None else " ".join(tokens)

    @staticmethod
    def clean_up_tokenization(text: str) -> str:
        """Remove the spaces that splitting at punctuation leaves before it and inside English contractions."""
        for ending in (".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"):
            text = text.replace(f" {ending}", ending)
            if ending == ",":
                text = text.replace(" ' ", "'")
        return text


def plain_ids(ids: Any) -> list[Any]:
    """Return an id, a list, an array or a tensor of ids, or of rows of ids, as a list."""
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    elif hasattr(ids, "numpy"):
        ids = ids.numpy().tolist()
    return [ids] if isinstance(ids, int) else list(ids)
