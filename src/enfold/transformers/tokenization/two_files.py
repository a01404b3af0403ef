"""Tokenizers whose pieces come from SentencePiece models and whose ids come from elsewhere: M2M100, Marian."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Sequence
from typing import Any

from enfold.tokenizers import AddedToken, Tokenizer
from enfold.transformers.tokenization.python import PreTrainedTokenizer
from enfold.transformers.tokenization.translation import Languages
from enfold.transformers.tokenization.unigram import SentencePieceTokenizer
from enfold.transformers.tokenization.vocabularies import read_sentencepiece

__all__ = ["M2M100Tokenizer", "MarianTokenizer", "PieceModel", "SpeechT5Tokenizer"]

_M2M100 = (
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr ht hu hy "
    "id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa pl ps pt ro ru "
    "sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu"
)


class PieceModel:
    """A SentencePiece model file that cuts texts into pieces and joins them again.

    Args:
        path: the model file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from enfold.tokenizers import models, normalizers, pre_tokenizers

        self.path = os.fspath(path)
        model = read_sentencepiece(path)
        self.pieces = [text for text, _ in model.pieces]
        self.unk_id = model.unk_id
        self._known = set(self.pieces)
        if model.algorithm == 4:  # characters
            self._core = Tokenizer(models.WordLevel({}, unk_token=model.unk_piece))
            self._letters = True
        else:
            self._core = Tokenizer(SentencePieceTokenizer._model(SentencePieceTokenizer, model))  # type: ignore[arg-type]
            self._letters = False
        steps: list[Any] = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
        self._normalizer = normalizers.Sequence([*steps, normalizers.Strip()])
        self._core.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")

    def encode(self, text: str) -> list[str]:
        """Return the pieces of a text."""
        text = " ".join(self._normalizer.normalize_str(text).split(" ")) if text else ""
        text = " ".join(part for part in text.split(" ") if part)
        if not text:
            return []
        if self._letters:
            # letters that the model does not know are one piece together
            letters = itertools.groupby("▁" + text.replace(" ", "▁"), key=lambda letter: letter in self._known)
            return [piece for known, run in letters for piece in (run if known else ["".join(run)])]
        return self._core.encode(text, add_special_tokens=False).tokens

    @staticmethod
    def decode(pieces: Sequence[str]) -> str:
        """Return the text of pieces."""
        return "".join(pieces).replace("▁", " ").removeprefix(" ")

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]


def _read(path: str | os.PathLike[str]) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _write(path: str, value: Any) -> str:
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=2)
        file.write("\n")
    os.replace(path + ".part", path)
    return path


def _target(folder: str, prefix: str | None, name: str) -> str:
    return os.path.join(folder, f"{prefix}-{name}" if prefix else name)


def _copy(source: str, target: str) -> str:
    if os.path.abspath(source) != os.path.abspath(target):
        shutil.copyfile(source, target)
    return target


def _joined(tokens: Sequence[str], special: set[str], model: PieceModel, gap: str = "") -> str:
    """Return the text of tokens, in which special ones stand as they are, with ``gap`` after them.

    Without a gap, the space that the next word begins with stays.
    """
    text = ""
    for is_special, run in itertools.groupby(tokens, key=special.__contains__):
        part = list(run)
        if is_special:
            text += "".join(token + gap for token in part)
        else:
            text += (" " if text and not gap and part[0].startswith("▁") else "") + model.decode(part)
    return text


class M2M100Tokenizer(Languages, PreTrainedTokenizer):  # type: ignore[misc]
    """M2M100's tokenizer: ``__LANGUAGE__ A </s>``.

    Args:
        vocab_file: vocab.json, piece → id.
        spm_file: the SentencePiece model.
        src_lang: language of source texts, "en" by default.
        tgt_lang: language of target texts.
        language_codes: "m2m100" (100 languages) or "wmt21" (8).
        num_madeup_words: unused ids at the end of the model's vocabulary.
        kwargs: as for every tokenizer.

    Raises:
        ValueError: a language without a token.
    """

    vocab_files_names = {"vocab_file": "vocab.json", "spm_file": "sentencepiece.bpe.model"}
    needed_files = ("vocab_file", "spm_file")
    default_language = "en"
    default_tokens = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
    }

    def __init__(
        self, vocab_file: str, spm_file: str, language_codes: str = "m2m100", num_madeup_words: int = 8, **kwargs: Any
    ) -> None:
        codes = _M2M100 if language_codes == "m2m100" else "en ha is ja cs ru zh de"
        self.languages = tuple(codes.split())  # type: ignore[misc]
        self.encoder: dict[str, int] = _read(vocab_file)
        self.decoder = {id: token for token, id in self.encoder.items()}
        self.sp_model = PieceModel(spm_file)
        self.num_madeup_words = num_madeup_words
        self.lang_code_to_token = {code: f"__{code}__" for code in self.languages}
        marks = list(self.lang_code_to_token.values())
        self.lang_token_to_id = {token: len(self.encoder) + place for place, token in enumerate(marks)}
        self.id_to_lang_token = {id: token for token, id in self.lang_token_to_id.items()}
        given = kwargs.pop("additional_special_tokens", None) or kwargs.pop("extra_special_tokens", None) or []
        others = [token for token in given if str(token) not in self.lang_token_to_id]
        settings = {"language_codes": language_codes, "num_madeup_words": num_madeup_words, **kwargs}
        super().__init__(additional_special_tokens=[*marks, *others], **settings)

    def _build(self, *args: Any, **settings: Any) -> Any:
        core = super()._build(*args, **settings)
        for token, id in self.lang_token_to_id.items():
            core.place(AddedToken(token, special=True), id)
        return core

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        self._start_languages(settings)

    def _language_token(self, language: str) -> str:
        return f"__{language}__"

    def _mark(self, language: str) -> None:
        self.cur_lang_id = self._language_id(language)
        self.prefix_tokens, self.suffix_tokens = [self.cur_lang_id], [self.eos_token_id]

    def get_lang_token(self, lang: str) -> str:
        """Return the token of a language."""
        return self.lang_code_to_token[lang]

    def get_lang_id(self, lang: str) -> int:
        """Return the id of a language's token.

        Raises:
            ValueError: no such language.
        """
        return self._language_id(lang)

    @property
    def vocab_size(self) -> int:
        """Tokens of vocab.json."""
        return len(self.encoder)

    def get_vocab(self) -> dict[str, int]:
        """Return token → id."""
        return {**self.encoder, **self.lang_token_to_id}

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        return self.sp_model.encode(text)

    def _convert_token_to_id(self, token: str) -> int:
        return self.encoder.get(token, self.encoder[str(self.unk_token)])

    def _convert_id_to_token(self, index: int) -> str:
        return self.decoder.get(index, str(self.unk_token))

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Return the text that pieces stand for."""
        return _joined(tokens, set(self.all_special_tokens), self.sp_model).strip()

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return the ids of a text, or of a pair, between the language and the end token."""
        return [*self.prefix_tokens, *token_ids_0, *(token_ids_1 or []), *self.suffix_tokens]

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write vocab.json and the SentencePiece model, and return their paths."""
        vocab, model = (_target(save_directory, filename_prefix, name) for name in self.vocab_files_names.values())
        return _write(vocab, self.encoder), _copy(self.sp_model.path, model)


class MarianTokenizer(PreTrainedTokenizer):
    """Marian's tokenizer: a SentencePiece model for each side, one vocabulary or two, the end token after texts.

    A source text may begin with its target language, ``>>fra<< text``.

    Args:
        source_spm: the source language's model.
        target_spm: the target language's model.
        vocab: vocab.json, piece → id.
        target_vocab_file: with ``separate_vocabs``, the target language's vocabulary.
        source_lang: the source language.
        target_lang: the target language.
        separate_vocabs: whether each side has a vocabulary of its own.
        kwargs: as for every tokenizer.
    """

    vocab_files_names = {
        "source_spm": "source.spm",
        "target_spm": "target.spm",
        "vocab": "vocab.json",
        "target_vocab_file": "target_vocab.json",
    }
    needed_files = ("source_spm", "target_spm", "vocab")
    default_tokens = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"}

    def __init__(
        self,
        source_spm: str,
        target_spm: str,
        vocab: str,
        target_vocab_file: str | None = None,
        source_lang: str | None = None,
        target_lang: str | None = None,
        separate_vocabs: bool = False,
        model_max_length: int | None = 512,
        **kwargs: Any,
    ) -> None:
        self.encoder: dict[str, int] = _read(vocab)
        self.separate_vocabs = separate_vocabs
        self.target_encoder: dict[str, int] = _read(target_vocab_file) if target_vocab_file else self.encoder
        self.decoder = {id: token for token, id in self.target_encoder.items()}
        self.supported_language_codes = [
            token
            for token in ([] if separate_vocabs else self.encoder)
            if token.startswith(">>") and token.endswith("<<")
        ]
        self.source_lang, self.target_lang = source_lang, target_lang
        self.spm_source, self.spm_target = PieceModel(source_spm), PieceModel(target_spm)
        self.current_spm, self.current_encoder = self.spm_source, self.encoder
        self._from_source = False
        settings = {
            "source_lang": source_lang,
            "target_lang": target_lang,
            "separate_vocabs": separate_vocabs,
            **kwargs,
        }
        super().__init__(model_max_length=model_max_length, **settings)

    @property
    def vocab_size(self) -> int:
        """Tokens of vocab.json."""
        return len(self.encoder)

    def get_vocab(self) -> dict[str, int]:
        """Return token → id."""
        return dict(self.current_encoder)

    def get_src_vocab(self) -> dict[str, int]:
        """Return token → id of the source side."""
        return {**self.encoder, **self.added_tokens_encoder}

    def get_tgt_vocab(self) -> dict[str, int]:
        """Return token → id of the target side."""
        return {**self.target_encoder, **self.added_tokens_encoder}

    @staticmethod
    def remove_language_code(text: str) -> tuple[list[str], str]:
        """Return the language that a text begins with, ``>>fra<<``, in a list, and the rest."""
        end = text.find("<<")
        return ([text[: end + 2]], text[end + 2 :]) if text.startswith(">>") and end != -1 else ([], text)

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        code, text = self.remove_language_code(text)
        return [*code, *self.current_spm.encode(text)]

    def _convert_token_to_id(self, token: str) -> int:
        return self.current_encoder.get(token, self.current_encoder[str(self.unk_token)])

    def _convert_id_to_token(self, index: int) -> str:
        return self.decoder.get(index, str(self.unk_token))

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        use_source_tokenizer: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the text of ids; ``use_source_tokenizer`` joins pieces as the source language's."""
        self._from_source = use_source_tokenizer
        try:
            return super().decode(token_ids, skip_special_tokens, clean_up_tokenization_spaces, **kwargs)
        finally:
            self._from_source = False

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Return the text that pieces stand for."""
        model = self.spm_source if self._from_source else self.spm_target
        return _joined(tokens, set(self.all_special_tokens), model, " ").replace("▁", " ").strip()

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return the ids of a text, or of a pair, with the end token after them."""
        return [*token_ids_0, *(token_ids_1 or []), self.eos_token_id]

    def get_special_tokens_mask(
        self,
        token_ids_0: list[int],
        token_ids_1: list[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """Return 1 for each special token, also for those in the text, except unknown ones; 0 for each other."""
        special = set(self.all_special_ids) - {self.unk_token_id}
        mask = [int(id in special) for id in [*token_ids_0, *(token_ids_1 or [])]]
        return mask if already_has_special_tokens else [*mask, 1]

    def _switch_to_input_mode(self) -> None:
        self.current_spm, self.current_encoder = self.spm_source, self.encoder

    def _switch_to_target_mode(self) -> None:
        self.current_spm, self.current_encoder = self.spm_target, self.target_encoder

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write the vocabularies and both SentencePiece models, and return their paths."""
        paths = {key: _target(save_directory, filename_prefix, name) for key, name in self.vocab_files_names.items()}
        written = [_write(paths["vocab"], self.encoder)]
        if self.separate_vocabs:
            written.append(_write(paths["target_vocab_file"], self.target_encoder))
        written.append(_copy(self.spm_source.path, paths["source_spm"]))
        return (*written, _copy(self.spm_target.path, paths["target_spm"]))


class SpeechT5Tokenizer(PreTrainedTokenizer):
    """SpeechT5's tokenizer: SentencePiece over characters, the end token after texts.

    Args:
        vocab_file: spm_char.model.
        kwargs: as for every tokenizer.
    """

    vocab_files_names = {"vocab_file": "spm_char.model"}
    needed_files = ("vocab_file",)
    default_tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}

    def __init__(self, vocab_file: str, **kwargs: Any) -> None:
        self.sp_model = PieceModel(vocab_file)
        self.encoder = {token: id for id, token in enumerate(self.sp_model.pieces)}
        super().__init__(**kwargs)

    @property
    def vocab_size(self) -> int:
        """Pieces of the model."""
        return len(self.encoder)

    def get_vocab(self) -> dict[str, int]:
        """Return token → id."""
        return dict(self.encoder)

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        return self.sp_model.encode(text)

    def _convert_token_to_id(self, token: str) -> int:
        return self.encoder.get(token, self.sp_model.unk_id)

    def _convert_id_to_token(self, index: int) -> str | None:
        return self.sp_model.pieces[index] if 0 <= index < len(self.sp_model.pieces) else None

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Return the text that pieces stand for."""
        return _joined(tokens, set(self.all_special_tokens), self.sp_model).strip()

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return the ids of a text, or of a pair, with the end token after them."""
        return [*token_ids_0, *(token_ids_1 or []), self.eos_token_id]

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write the SentencePiece model and return its path."""
        return (_copy(self.sp_model.path, _target(save_directory, filename_prefix, "spm_char.model")),)
