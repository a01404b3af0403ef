"""PreTrainedTokenizerFast: a tokenizer whose work is done by a core tokenizer, and what its families share."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.tokenizers import AddedToken
from enfold.transformers.tokenization.base import PreTrainedTokenizerBase
from enfold.transformers.tokenization.training import Training

__all__ = ["PreTrainedTokenizerFast", "TokenizersBackend", "mask"]


def mask(content: str) -> AddedToken:
    """Return a mask token that takes the white space on its left with it."""
    return AddedToken(content, lstrip=True, special=True)


class PreTrainedTokenizerFast(Training, PreTrainedTokenizerBase):
    """A tokenizer of no named family: everything is in its tokenizer.json.

    A family is a subclass that says, in class attributes, which files it is built from, its special tokens, and the
    template of what surrounds texts, where ``{cls}`` stands for the token in that role.

    Args:
        add_bos_token: begin every text with the beginning token; as the tokenizer.json says by default.
        add_eos_token: end every text with the end token; as the tokenizer.json says by default.
        kwargs: as for every tokenizer.

    Example:
        >>> from enfold.tokenizers import Tokenizer, models
        >>> PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))).vocab_size
        1
    """

    needed_files: ClassVar[tuple[str, ...]] = ()
    # what surrounds one text and a pair, "{cls}:0 $A:0 {sep}:0"; empty: nothing, or add_bos_token and add_eos_token
    single: ClassVar[str] = ""
    pair: ClassVar[str] = ""
    default_add_bos: ClassVar[bool] = False

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        told = settings.get("add_bos_token") is not None or settings.get("add_eos_token") is not None
        self._add_bos = bool(
            self.default_add_bos if settings.get("add_bos_token") is None else settings["add_bos_token"]
        )
        self._add_eos = bool(settings.get("add_eos_token"))
        space = settings.get("add_prefix_space")
        if space is not None and not built:
            self._prefix_space(bool(space))
        if self.single:
            if built:
                self._surround(self.single, self.pair)
        elif told or (built and self.default_add_bos):
            self.update_post_processor()

    def _prefix_space(self, wanted: bool) -> None:
        """Make the first word of a text be treated like all others, or not."""
        for name in ("pre_tokenizer", "post_processor"):
            step = getattr(self._tokenizer, name)
            if getattr(step, "add_prefix_space", wanted) != wanted:
                step.add_prefix_space = wanted
                setattr(self._tokenizer, name, step)

    def _surround(self, single: str, pair: str) -> None:
        """Put special tokens around texts as two templates say."""
        from enfold.tokenizers import processors

        roles = {name.removesuffix("_token"): getattr(self, name) for name in self._special}
        used: dict[str, int] = {}

        def fill(template: str) -> list[str]:
            pieces = []
            for piece in template.split():
                if piece.startswith("$"):
                    pieces.append(piece)
                    continue
                name, _, kind = piece.rpartition(":")
                token = name.format_map(roles)
                if token != "None":
                    used[token] = self.convert_tokens_to_ids(token)
                    pieces.append(f"{token}:{kind}")
            return pieces

        self._tokenizer.post_processor = processors.TemplateProcessing(
            single=fill(single), pair=fill(pair), special_tokens=list(used.items())
        )
        self._changed()

    def update_post_processor(self) -> None:
        """Put the beginning and end tokens around texts as ``add_bos_token`` and ``add_eos_token`` say now."""
        begin, end = "{bos}:0 " * self._add_bos, " {eos}:0" * self._add_eos
        single = f"{begin}$A:0{end}"
        self._surround(single, f"{single} {single.replace('$A', '$B').replace(':0', ':1')}")

    @property
    def add_bos_token(self) -> bool:
        """Whether texts begin with the beginning token; setting it changes that."""
        return self._add_bos

    @add_bos_token.setter
    def add_bos_token(self, value: bool) -> None:
        self._add_bos = bool(value)
        self.update_post_processor()

    @property
    def add_eos_token(self) -> bool:
        """Whether texts end with the end token; setting it changes that."""
        return self._add_eos

    @add_eos_token.setter
    def add_eos_token(self, value: bool) -> None:
        self._add_eos = bool(value)
        self.update_post_processor()


TokenizersBackend = PreTrainedTokenizerFast
