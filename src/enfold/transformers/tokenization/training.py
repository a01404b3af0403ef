"""A new tokenizer of the same kind, with a vocabulary learnt from other texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from enfold.tokenizers import AddedToken, Tokenizer

__all__ = ["Training"]


class Training:
    """``train_new_from_iterator`` for tokenizers with a core."""

    _tokenizer: Tokenizer

    def train_new_from_iterator(
        self: Any,
        text_iterator: Iterable[Any],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: Iterable[str | AddedToken] | None = None,
        special_tokens_map: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return a tokenizer with this one's algorithm, special tokens and settings, trained on other texts.

        Args:
            text_iterator: texts, or lists of texts.
            vocab_size: tokens of the new vocabulary, special ones included.
            length: how many items there are, for the progress bar.
            new_special_tokens: further special tokens.
            special_tokens_map: old special token → its new text.
            kwargs: further arguments of the trainer (``min_frequency`` …).

        Raises:
            ValueError: an unknown trainer argument, or special tokens that a map cannot place.

        Example:
            >>> from enfold.transformers import GPT2Tokenizer
            >>> letters = {chr(97 + number): number for number in range(26)}
            >>> old = GPT2Tokenizer({**letters, "Ġ": 26, "<|endoftext|>": 27}, [])
            >>> new = old.train_new_from_iterator(["low lower lowest"] * 9, 270)
            >>> new.tokenize("slow")
            ['s', 'low']
        """
        renamed = dict(special_tokens_map or {})
        state = json.loads(self._tokenizer.to_str())
        # the vocabulary goes, the added tokens stay, under the new names
        old_added = state["added_tokens"]
        state["added_tokens"] = []
        model = state["model"]
        kind = model["type"]
        unk = model.get("unk_token")
        if unk in renamed:
            model["unk_token"] = renamed[unk]
        if kind == "Unigram":
            if model.get("unk_id") is not None:
                kwargs.setdefault("unk_token", _new(model["vocab"][model["unk_id"]][0], renamed))
                model["unk_id"] = 0
                model["vocab"] = [[kwargs["unk_token"], 0.0]]
            else:
                model["vocab"] = []
        else:
            if kind == "BPE":
                model["merges"] = []
            model["vocab"] = {}
            if kind in ("WordPiece", "WordLevel") and model.get("unk_token"):
                model["vocab"] = {model["unk_token"]: 0}
        processor = state["post_processor"]
        state["post_processor"] = None
        core = Tokenizer.from_str(json.dumps(state))
        special = [
            AddedToken(
                _new(token["content"], renamed),
                **{name: token[name] for name in ("single_word", "lstrip", "rstrip", "normalized", "special")},
            )
            for token in old_added
            if token["special"]
        ]
        for token in new_special_tokens or ():
            special.append(token if isinstance(token, AddedToken) else AddedToken(token, special=True))
        core.train_from_iterator(
            text_iterator, self._trainer(core, state, kind, vocab_size, special, kwargs), length=length
        )
        plain = [token for token in old_added if not token["special"]]
        core.add_tokens(
            [
                AddedToken(
                    token["content"],
                    **{name: token[name] for name in ("single_word", "lstrip", "rstrip", "normalized")},
                )
                for token in plain
            ]
        )
        if processor is not None:
            _replace_ids(processor, core, renamed)
            made = json.loads(core.to_str())
            made["post_processor"] = processor
            core = Tokenizer.from_str(json.dumps(made))
        settings = {key: value for key, value in self.init_kwargs.items() if not key.startswith("_")}
        for name in ("added_tokens_decoder", "extra_special_tokens", "additional_special_tokens"):
            settings.pop(name, None)
        for name, token in self._special.items():
            if token is not None:
                text = _new(str(token), renamed)
                if isinstance(token, AddedToken):
                    rules = {rule: getattr(token, rule) for rule in ("lstrip", "rstrip", "single_word", "normalized")}
                    settings[name] = AddedToken(text, special=True, **rules)
                else:
                    settings[name] = text
        extra = [_new(str(token), renamed) for token in self._extra]
        extra += [str(token) for token in new_special_tokens or () if str(token) not in extra]
        if extra:
            settings["additional_special_tokens"] = extra
        settings.setdefault("chat_template", self.chat_template)
        for name in ("model_max_length", "padding_side", "truncation_side", "model_input_names"):
            settings[name] = getattr(self, name)
        return type(self)(tokenizer_object=core, **settings)

    @staticmethod
    def _trainer(
        core: Tokenizer, state: dict[str, Any], kind: str, size: int, special: list[AddedToken], options: dict[str, Any]
    ) -> Any:
        from enfold.tokenizers import pre_tokenizers, trainers

        name = {"BPE": "BpeTrainer"}.get(kind, f"{kind}Trainer")
        maker = getattr(trainers, name)
        model = state["model"]
        if kind == "BPE":
            options.setdefault("continuing_subword_prefix", model.get("continuing_subword_prefix"))
            options.setdefault("end_of_word_suffix", model.get("end_of_word_suffix"))
            # no prefix and an empty one are the same, and the trainer is told only of real ones
            for affix in ("continuing_subword_prefix", "end_of_word_suffix"):
                if not options[affix]:
                    del options[affix]
        elif kind == "WordPiece":
            options.setdefault("continuing_subword_prefix", model.get("continuing_subword_prefix"))
        steps = state["pre_tokenizer"] or {}
        if "ByteLevel" in [steps.get("type"), *(step["type"] for step in steps.get("pretokenizers", []))]:
            options.setdefault("initial_alphabet", pre_tokenizers.ByteLevel.alphabet())
        return maker(vocab_size=size, special_tokens=special, **options)


def _new(token: str, renamed: Mapping[str, str]) -> str:
    return renamed.get(token, token)


def _replace_ids(processor: dict[str, Any], core: Tokenizer, renamed: Mapping[str, str]) -> None:
    """Give a post-processor the new texts and ids of its special tokens."""

    def id_of(token: str) -> int:
        id = core.token_to_id(token)
        if id is None:
            raise ValueError(f"the post-processor needs {token!r}, which the new vocabulary lacks")
        return id

    for step in processor.get("processors", [processor]):
        if step["type"] == "TemplateProcessing":
            tokens = {}
            for value in step["special_tokens"].values():
                texts = [_new(text, renamed) for text in value["tokens"]]
                name = _new(value["id"], renamed)
                tokens[name] = {"id": name, "ids": [id_of(text) for text in texts], "tokens": texts}
            step["special_tokens"] = tokens
            for piece in (*step["single"], *step["pair"]):
                if "SpecialToken" in piece:
                    piece["SpecialToken"]["id"] = _new(piece["SpecialToken"]["id"], renamed)
        for role in ("sep", "cls"):
            if role in step:
                text = _new(step[role][0], renamed)
                step[role] = [text, id_of(text)]
