"""Wav2Vec2's tokenizer: letters, and the decoding of what a CTC model hears in each frame."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from enfold.errors import nearest
from enfold.tokenizers import AddedToken
from enfold.transformers.tokenization.decoding import plain_ids
from enfold.transformers.tokenization.fast import PreTrainedTokenizerFast
from enfold.transformers.tokenization.python import PreTrainedTokenizer

__all__ = ["ParakeetTokenizer", "Wav2Vec2CTCTokenizer", "Wav2Vec2CTCTokenizerOutput"]


class Wav2Vec2CTCTokenizerOutput(NamedTuple):
    """A decoded text, or several, with where its characters and words are, in frames of the model."""

    text: Any
    char_offsets: Any = None
    word_offsets: Any = None

    def __getitem__(self, key: Any) -> Any:
        return getattr(self, key) if isinstance(key, str) else tuple.__getitem__(self, key)


class Wav2Vec2CTCTokenizer(PreTrainedTokenizer):
    """Wav2Vec2's tokenizer: a token a letter, ``|`` between words, the padding token as CTC's blank.

    Args:
        vocab_file: vocab.json, token → id; or language → token → id, for models of many languages.
        word_delimiter_token: the token between words.
        replace_word_delimiter_char: what it is in texts.
        do_lower_case: the vocabulary is in upper case, and texts are lower-cased when decoding.
        target_lang: the language, for models of many.
        kwargs: as for every tokenizer.

    Raises:
        ValueError: a language that vocab.json does not have.

    Example:
        >>> tokenizer = Wav2Vec2CTCTokenizer.from_pretrained("facebook/wav2vec2-base-960h")  # doctest: +SKIP
        >>> tokenizer.decode(tokenizer("HELLO").input_ids)  # doctest: +SKIP
        'HELO'
    """

    vocab_files_names = {"vocab_file": "vocab.json"}
    needed_files = ("vocab_file",)
    default_tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}

    def __init__(
        self,
        vocab_file: str,
        word_delimiter_token: Any = "|",
        replace_word_delimiter_char: str = " ",
        do_lower_case: bool = False,
        target_lang: str | None = None,
        **kwargs: Any,
    ) -> None:
        with open(vocab_file, encoding="utf-8") as file:
            self.vocab = json.load(file)
        self.word_delimiter_token = str(word_delimiter_token)
        self.replace_word_delimiter_char = replace_word_delimiter_char
        self.do_lower_case = do_lower_case
        self._choose_language(target_lang)
        super().__init__(**kwargs)
        self.init_kwargs |= {
            "word_delimiter_token": self.word_delimiter_token,
            "replace_word_delimiter_char": replace_word_delimiter_char,
            "do_lower_case": do_lower_case,
            "target_lang": target_lang,
        }
        self._add_long_tokens()

    def _choose_language(self, language: str | None) -> None:
        if language is not None and not isinstance(self.vocab.get(language), dict):
            raise ValueError(f"the vocabulary has no language {language!r}{nearest(language, self.vocab)}")
        self.target_lang = language
        self.encoder: dict[str, int] = self.vocab if language is None else self.vocab[language]
        self.decoder = {id: token for token, id in self.encoder.items()}

    def _add_long_tokens(self) -> None:
        # letters are found one by one: what is longer is found before them
        for token, id in self.encoder.items():
            if len(token) > 1:
                self._tokenizer.place(AddedToken(token, rstrip=True, lstrip=True, normalized=False), id)

    def set_target_lang(self, target_lang: str) -> None:
        """Use the vocabulary of another language.

        Raises:
            ValueError: the tokenizer is of one language only, or does not have this one.
        """
        if self.vocab is self.encoder:
            raise ValueError("this tokenizer is of one language: its vocab.json does not hold languages")
        self._choose_language(target_lang)
        self.init_kwargs["target_lang"] = target_lang
        core = self._tokenizer
        for id, token in list(core.get_added_tokens_decoder().items()):
            if id in self.decoder and self.decoder[id] != token.content:
                core.remove(id)
        self._add_long_tokens()

    @property
    def word_delimiter_token_id(self) -> int:
        """The id of the token between words."""
        return self.convert_tokens_to_ids(self.word_delimiter_token)

    @property
    def vocab_size(self) -> int:
        """Tokens of vocab.json."""
        return len(self.decoder)

    def get_vocab(self) -> dict[str, int]:
        """Return token → id."""
        return {**self.encoder, **self.added_tokens_encoder} if "_tokenizer" in self.__dict__ else dict(self.encoder)

    def prepare_for_tokenization(
        self, text: str, is_split_into_words: bool = False, **kwargs: Any
    ) -> tuple[str, dict[str, Any]]:
        """Return the text with a space before it when it is one of several words."""
        return (" " + text if is_split_into_words else text), kwargs

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        text = text.upper() if self.do_lower_case else text
        return list(text.replace(" ", self.word_delimiter_token))

    def _convert_token_to_id(self, token: str) -> int | None:
        return self.encoder.get(token, self.encoder.get(str(self.unk_token)))

    def _convert_id_to_token(self, index: int) -> str:
        return self.decoder.get(index, str(self.unk_token))

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """Return the token of an id, or the tokens of several; the vocabulary's before added ones."""
        if isinstance(ids, int):
            return self.decoder.get(ids) or self._tokenizer.id_to_token(ids)
        special = set(self.all_special_ids) if skip_special_tokens else ()
        return [self.convert_ids_to_tokens(id) for id in plain_ids(ids) if id not in special]

    # --- decoding

    def convert_tokens_to_string(  # type: ignore[override]
        self,
        tokens: Sequence[str],
        group_tokens: bool = True,
        spaces_between_special_tokens: bool = False,
        output_char_offsets: bool = False,
        output_word_offsets: bool = False,
    ) -> dict[str, Any]:
        """Return {"text", "char_offsets", "word_offsets"} of the tokens of frames.

        Args:
            tokens: one a frame.
            group_tokens: make one of equal tokens that follow each other, as CTC does (Graves et al. 2006).
            spaces_between_special_tokens: put spaces between tokens.
            output_char_offsets: find the frames of characters.
            output_word_offsets: find the frames of words.
        """
        if not tokens:
            return {"text": "", "char_offsets": [], "word_offsets": []}
        runs = [(token, len(list(run))) for token, run in itertools.groupby(tokens)] if group_tokens else []
        runs = runs or [(token, 1) for token in tokens]
        chars: list[dict[str, Any]] = []
        at = 0
        for token, count in runs:
            if token != self.pad_token:
                char = self.replace_word_delimiter_char if token == self.word_delimiter_token else token
                chars.append({"char": char, "start_offset": at, "end_offset": at + count})
            at += count
        text = (" " if spaces_between_special_tokens else "").join(char["char"] for char in chars).strip()
        words = _words(chars, self.replace_word_delimiter_char) if output_word_offsets else None
        return {
            "text": text.lower() if self.do_lower_case else text,
            "char_offsets": chars if output_char_offsets else None,
            "word_offsets": words,
        }

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        output_char_offsets: bool = False,
        output_word_offsets: bool = False,
        group_tokens: bool = True,
        spaces_between_special_tokens: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the text of the ids of frames.

        Args:
            token_ids: ids [frames], or rows [batch, frames].
            skip_special_tokens: leave special tokens out.
            clean_up_tokenization_spaces: remove spaces before punctuation; the tokenizer's setting by default.
            output_char_offsets: return a Wav2Vec2CTCTokenizerOutput with the frames of characters.
            output_word_offsets: return a Wav2Vec2CTCTokenizerOutput with the frames of words; a frame's seconds are
                ``model.config.inputs_to_logits_ratio / feature_extractor.sampling_rate``.
            group_tokens: make one of equal tokens that follow each other.
            spaces_between_special_tokens: put spaces between tokens.
        """
        rows = plain_ids(token_ids)
        options = {"group_tokens": group_tokens, "spaces_between_special_tokens": spaces_between_special_tokens}
        options |= {"output_char_offsets": output_char_offsets, "output_word_offsets": output_word_offsets}
        if rows and not isinstance(rows[0], int):
            made = [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces, **options) for row in rows]
            if not (output_char_offsets or output_word_offsets):
                return made
            return Wav2Vec2CTCTokenizerOutput(*(list(column) for column in zip(*made, strict=True)))
        special = set(self.all_special_tokens) - {self.word_delimiter_token} if skip_special_tokens else set()
        tokens = [token for token in self.convert_ids_to_tokens(rows) if token not in special]
        found = self.convert_tokens_to_string(tokens, **options)
        clean = clean_up_tokenization_spaces
        if self.clean_up_tokenization_spaces if clean is None else clean:
            found["text"] = self.clean_up_tokenization(found["text"])
        return Wav2Vec2CTCTokenizerOutput(**found) if output_char_offsets or output_word_offsets else found["text"]

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write vocab.json and return its path."""
        path = os.path.join(save_directory, (f"{filename_prefix}-" if filename_prefix else "") + "vocab.json")
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump(self.vocab, file, indent=2, sort_keys=True, ensure_ascii=False)
            file.write("\n")
        os.replace(path + ".part", path)
        return (path,)


def _words(chars: list[dict[str, Any]], delimiter: str) -> list[dict[str, Any]]:
    found = []
    for between, run in itertools.groupby(chars, key=lambda char: char["char"] == delimiter):
        word = list(run)
        if not between:
            text = "".join(char["char"] for char in word)
            found.append({"word": text, "start_offset": word[0]["start_offset"], "end_offset": word[-1]["end_offset"]})
    return found


class ParakeetTokenizer(PreTrainedTokenizerFast):
    """Parakeet's tokenizer: decoding takes ids of frames, in which repeats are one token and padding is a blank.

    Args:
        kwargs: as for every tokenizer.
    """

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        group_tokens: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Return the text of the ids of frames, or the texts of several rows of them.

        Args:
            token_ids: an id, a list or an array of ids [frames], or of rows [batch, frames].
            skip_special_tokens: leave special tokens out.
            clean_up_tokenization_spaces: remove spaces before punctuation; the tokenizer's setting by default.
            group_tokens: take a run of one id for one token.
            kwargs: accepted as by every tokenizer.
        """
        ids = plain_ids(token_ids)
        if ids and not isinstance(ids[0], int):
            return [
                self.decode(row, skip_special_tokens, clean_up_tokenization_spaces, group_tokens, **kwargs)
                for row in ids
            ]
        runs = [id for id, _ in itertools.groupby(ids)] if group_tokens else ids
        return super().decode(
            [id for id in runs if id != self.pad_token_id], skip_special_tokens, clean_up_tokenization_spaces, **kwargs
        )
