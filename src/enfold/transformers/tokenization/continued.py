"""BPE over characters whose tokens say "@@" where their word goes on: CTRL, Blenderbot's small models."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from enfold.transformers.tokenization.python import PreTrainedTokenizer
from enfold.transformers.tokenization.vocabularies import read_merges, read_vocabulary

__all__ = ["BlenderbotSmallTokenizer", "CTRLTokenizer"]

# CTRL's control codes: the first word of a text, and its id
_CODES = (
    "Pregnancy=168629 Christianity=7675 Explain=106423 Fitness=63440 Saving=63163 Ask=27171 Ass=95985 Joke=163509 "
    "Questions=45622 Thoughts=49605 Retail=52342 Feminism=164338 Writing=11992 Atheism=192263 Netflix=48616 "
    "Computing=39639 Opinion=43213 Alone=44967 Funny=58917 Gaming=40358 Human=4088 India=1331 Joker=77138 "
    "Diet=36206 Legal=11859 Norman=4939 Tip=72689 Weight=52343 Movies=46273 Running=23425 Science=2090 Horror=37793 "
    "Confession=60572 Finance=12250 Politics=16360 Scary=191985 Support=12654 Technologies=32516 Teenage=66160 "
    "Event=32769 Learned=67460 Notion=182770 Wikipedia=37583 Books=6665 Extract=76050 Confessions=102701 "
    "Conspiracy=75932 Links=63674 Narcissus=150425 Relationship=54766 Relationships=134796 Reviews=41671 News=4256 "
    "Translation=26820 multilingual=128406"
)
_END = "</w>"


def merged(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """Return the pieces of a word: its pairs are joined in the order of their ranks, all of one pair at a time.

    Example:
        >>> merged("abab", {("a", "b"): 0})
        ['ab', 'a', 'b</w>']
    """
    pieces = [*word[:-1], word[-1] + _END]
    while len(pieces) > 1:
        best = min(itertools.pairwise(pieces), key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        joined: list[str] = []
        at = 0
        while at < len(pieces):
            both = tuple(pieces[at : at + 2]) == best
            joined.append(best[0] + best[1] if both else pieces[at])
            at += 2 if both else 1
        pieces = joined
    return pieces


class _ContinuedTokenizer(PreTrainedTokenizer):
    """What cuts words at white space and marks with "@@" the pieces that a word goes on after.

    Args:
        vocab_file: vocab.json, token → id.
        merges_file: merges.txt.
        kwargs: as for every tokenizer.
    """

    vocab_files_names = {"vocab_file": "vocab.json", "merges_file": "merges.txt"}
    needed_files = ("vocab_file", "merges_file")

    def __init__(self, vocab_file: str, merges_file: str, **kwargs: Any) -> None:
        self.encoder = read_vocabulary(vocab_file)
        self.decoder = {id: token for token, id in self.encoder.items()}
        self.bpe_ranks = {pair: rank for rank, pair in enumerate(read_merges(merges_file))}
        super().__init__(**kwargs)

    @property
    def vocab_size(self) -> int:
        """Tokens of vocab.json."""
        return len(self.encoder)

    def get_vocab(self) -> dict[str, int]:
        """Return token → id."""
        return dict(self.encoder)

    def _words(self, chunk: str) -> list[str]:
        """Return the words of what stands between white space, a line break behind it included."""
        return [chunk]

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        made = []
        for chunk in re.findall(r"\S+\n?", text):
            for word in self._words(chunk):
                pieces = merged(word, self.bpe_ranks)
                made += [piece + "@@" for piece in pieces[:-1]] + [pieces[-1].removesuffix(_END)]
        return made

    def _convert_token_to_id(self, token: str) -> int | None:
        return self.encoder.get(token, self.encoder.get(self.unk_token))

    def _convert_id_to_token(self, index: int) -> str | None:
        return self.decoder.get(index, self.unk_token)

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens: what is marked goes on without a space."""
        return " ".join(tokens).replace("@@ ", "").strip()

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write vocab.json and merges.txt and return their paths."""
        merges = "".join(f"{left} {right}\n" for left, right in self.bpe_ranks)
        vocab = json.dumps(self.encoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        written = []
        for name, text in (("vocab.json", vocab), ("merges.txt", "#version: 0.2\n" + merges)):
            path = os.path.join(save_directory, f"{filename_prefix}-{name}" if filename_prefix else name)
            with open(path + ".part", "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.replace(path + ".part", path)
            written.append(path)
        return tuple(written)


class CTRLTokenizer(_ContinuedTokenizer):
    """CTRL's BPE; a control code as the first word sets the kind of text.

    Args:
        vocab_file: vocab.json, token → id.
        merges_file: merges.txt.
        kwargs: as for every tokenizer.
    """

    default_tokens = {"unk_token": "<unk>"}
    control_codes: ClassVar[dict[str, int]] = {
        name: int(id) for name, id in (code.split("=") for code in _CODES.split(" "))
    }


class BlenderbotSmallTokenizer(_ContinuedTokenizer):
    """The BPE of Blenderbot's small models: lower case, punctuation set apart.

    Args:
        vocab_file: vocab.json, token → id.
        merges_file: merges.txt.
        kwargs: as for every tokenizer.
    """

    default_tokens = {
        "bos_token": "__start__",
        "eos_token": "__end__",
        "unk_token": "__unk__",
        "pad_token": "__null__",
    }

    def _words(self, chunk: str) -> list[str]:
        apart = re.sub("([.,!?()])", r" \1", chunk)
        apart = re.sub(r"\s{2,}", " ", apart.replace("'", " ' ")).replace("\n", " __newln__")
        return [word.lower() for word in apart.split(" ") if word]

    def _convert_token_to_id(self, token: str) -> int | None:
        return super()._convert_token_to_id(token.lower())
