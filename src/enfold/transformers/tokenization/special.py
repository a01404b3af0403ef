"""The vocabulary of a tokenizer and the tokens that mean something: unknown, padding, beginning, end, mask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from enfold.errors import nearest
from enfold.tokenizers import AddedToken, Tokenizer

__all__ = ["SPECIAL_TOKENS", "Vocabulary", "as_token", "is_token", "special_settings"]

SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def as_token(value: Any, special: bool = True) -> Any:
    """Return a token of a configuration file as AddedToken; a string and None stay as they are."""
    if isinstance(value, Mapping):
        fields = {key: value[key] for key in ("single_word", "lstrip", "rstrip", "normalized") if key in value}
        return AddedToken(value["content"], special=value.get("special", special), **fields)
    return value


def special_settings(
    settings: dict[str, Any], defaults: Mapping[str, Any], default_extra: Sequence[str]
) -> tuple[dict[str, Any], list[Any]]:
    """Take the special tokens out of ``settings``: those with a role by its name, and those without one.

    A token given as text keeps the rules that the family's own token of that role has (a mask that takes the white
    space on its left with it).
    """
    tokens: dict[str, Any] = {}
    for name in list(settings):
        if name.endswith("_token") and (settings[name] is None or is_token(settings[name])):
            tokens[name] = token = as_token(settings.pop(name))
            default = defaults.get(name)
            if isinstance(token, str) and isinstance(default, AddedToken):
                tokens[name] = AddedToken(token, lstrip=default.lstrip, rstrip=default.rstrip, special=True)
    extra: Any = list(default_extra)
    for name in ("extra_special_tokens", "additional_special_tokens"):
        given = settings.pop(name, None)
        if given:
            extra = given
    # newer configurations name the tokens of images and sounds here, by role
    model_specific = settings.pop("model_specific_special_tokens", None) or {}
    if isinstance(extra, Mapping):
        extra, model_specific = [], {**model_specific, **extra}
    tokens.update({name: as_token(token) for name, token in model_specific.items()})
    return tokens, list(extra)


def is_token(value: Any) -> bool:
    """Whether ``value`` is a token: a text, an AddedToken, or one as configurations store it."""
    return isinstance(value, str | AddedToken) or (isinstance(value, Mapping) and "content" in value)


class Vocabulary:
    """Tokens and ids of a tokenizer, its added tokens, and its special ones.

    Args:
        tokenizer: the core tokenizer that this face is of.
        tokens: ``bos_token`` … ``mask_token`` by name; names ending in ``_token`` beyond these are kept as well.
        extra: further special tokens without a role.
    """

    SPECIAL_TOKENS_ATTRIBUTES: ClassVar[list[str]] = list(SPECIAL_TOKENS)

    _tokenizer: Tokenizer
    _special: dict[str, Any]
    _extra: list[Any]
    verbose: bool
    # the token type of padding
    pad_token_type_id: int = 0

    def _start_vocabulary(self, tokenizer: Tokenizer, tokens: Mapping[str, Any], extra: Iterable[Any]) -> None:
        object.__setattr__(self, "_tokenizer", tokenizer)
        object.__setattr__(self, "_special", dict.fromkeys(SPECIAL_TOKENS))
        object.__setattr__(self, "_extra", [as_token(token) for token in extra])
        object.__setattr__(self, "_variants", {})
        self._special.update({name: as_token(token) for name, token in tokens.items()})

    def _register_special(self, built: bool) -> None:
        """Make sure that the core treats every special token as one piece."""
        known = {token.content: token for token in self._tokenizer.get_added_tokens_decoder().values()}
        missing = []
        for token in [*self._special.values(), *self._extra]:
            have = known.get(str(token))
            if token is None or (have is not None and isinstance(token, str)):
                continue
            made = token if isinstance(token, AddedToken) else AddedToken(token, special=True, normalized=False)
            # a mask with rules of its own replaces the plain token that a vocabulary file made of it
            if have is None or (built and (have.lstrip, have.rstrip) != (made.lstrip, made.rstrip)):
                missing.append(made)
        if missing:
            self._tokenizer.add_special_tokens(missing)
            self._changed()

    def _changed(self) -> None:
        """Forget whatever was derived from the core tokenizer."""
        self._variants.clear()  # type: ignore[attr-defined]

    # --- attributes: tokenizer.pad_token, tokenizer.pad_token_id …

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and "_special" in self.__dict__:
            special = self.__dict__["_special"]
            if name in special:
                token = special[name]
                return None if token is None else str(getattr(token, "content", token))
            if name.endswith("_token_id") and name[:-3] in special:
                token = getattr(self, name[:-3])
                return None if token is None else self.convert_tokens_to_ids(token)
        known = [key for key in dir(type(self)) if not key.startswith("_")]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{nearest(name, known)}")

    def __setattr__(self, name: str, value: Any) -> None:
        special = self.__dict__.get("_special")
        if special is not None and name.endswith("_token_id") and name[:-3] in special:
            special[name[:-3]] = None if value is None else self.convert_ids_to_tokens(value)
        elif special is not None and name in special:
            if value is not None and not isinstance(value, str | AddedToken):
                raise ValueError(f"{name} is a string, an AddedToken or None, not {type(value).__name__}")
            special[name] = value
        else:
            object.__setattr__(self, name, value)

    @property
    def additional_special_tokens(self) -> list[str]:
        """Special tokens without a role."""
        return [str(getattr(token, "content", token)) for token in self._extra]

    @additional_special_tokens.setter
    def additional_special_tokens(self, tokens: Sequence[Any] | None) -> None:
        object.__setattr__(self, "_extra", [as_token(token) for token in tokens or ()])

    @property
    def extra_special_tokens(self) -> list[str]:
        """``additional_special_tokens`` by its newer name."""
        return self.additional_special_tokens

    @extra_special_tokens.setter
    def extra_special_tokens(self, tokens: Sequence[Any] | None) -> None:
        object.__setattr__(self, "_extra", [as_token(token) for token in tokens or ()])

    @property
    def additional_special_tokens_ids(self) -> list[int]:
        """Ids of the special tokens without a role."""
        return [self.convert_tokens_to_ids(token) for token in self.additional_special_tokens]

    @property
    def special_tokens_map(self) -> dict[str, Any]:
        """Name → special token, for those that are set."""
        found: dict[str, Any] = {
            name: getattr(self, name) for name, token in self._special.items() if token is not None
        }
        if self._extra:
            found["additional_special_tokens"] = self.additional_special_tokens
        return found

    @property
    def special_tokens_map_extended(self) -> dict[str, Any]:
        """Name → special token as it was given, with its rules where it has some."""
        found = {name: token for name, token in self._special.items() if token is not None}
        return {**found, "additional_special_tokens": list(self._extra)} if self._extra else found

    @property
    def all_special_tokens(self) -> list[str]:
        """Every special token once."""
        named = [getattr(self, name) for name, token in self._special.items() if token is not None]
        return list(dict.fromkeys([*named, *self.additional_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of ``all_special_tokens``."""
        return [self.convert_tokens_to_ids(token) for token in self.all_special_tokens]

    # --- adding

    def add_tokens(
        self, new_tokens: str | AddedToken | Sequence[str | AddedToken], special_tokens: bool = False
    ) -> int:
        """Add tokens that the vocabulary lacks and return how many were new.

        Resize the model afterwards: ``model.resize_token_embeddings(len(tokenizer))``.

        Args:
            new_tokens: one token or several.
            special_tokens: treat them as special: never cut or normalized, left out of decoded text on request.
        """
        tokens = [new_tokens] if isinstance(new_tokens, str | AddedToken) else list(new_tokens)
        if not tokens:
            return 0
        add = self._tokenizer.add_special_tokens if special_tokens else self._tokenizer.add_tokens
        count = add(tokens)
        self._changed()
        return count

    def add_special_tokens(
        self, special_tokens_dict: Mapping[str, Any], replace_extra_special_tokens: bool = True, **kwargs: Any
    ) -> int:
        """Set special tokens by role, adding those that the vocabulary lacks, and return how many were new.

        Args:
            special_tokens_dict: ``{"pad_token": "[PAD]", "additional_special_tokens": ["<a>", "<b>"]}``.
            replace_extra_special_tokens: whether the additional ones replace those there are, or are appended;
                ``replace_additional_special_tokens`` is the same.

        Raises:
            ValueError: an unknown role; the message names the closest one.
        """
        replace = kwargs.pop("replace_additional_special_tokens", replace_extra_special_tokens)
        count = 0
        for name, value in special_tokens_dict.items():
            if name in ("additional_special_tokens", "extra_special_tokens"):
                tokens = [as_token(token) for token in value]
                kept = [] if replace else list(self._extra)
                have = {str(getattr(token, "content", token)) for token in kept}
                kept += [token for token in tokens if str(getattr(token, "content", token)) not in have]
                object.__setattr__(self, "_extra", kept)
            elif name in self._special or name.endswith("_token"):
                tokens = [as_token(value)]
                self._special[name] = tokens[0]
            else:
                roles = [*SPECIAL_TOKENS, "additional_special_tokens"]
                raise ValueError(f"{name!r} is not a role of special tokens{nearest(name, roles)}")
            count += self.add_tokens(
                [
                    token if isinstance(token, AddedToken) else AddedToken(token, special=True, normalized=False)
                    for token in tokens
                ],
                special_tokens=True,
            )
        return count

    # --- vocabulary

    @property
    def vocab_size(self) -> int:
        """Tokens of the model's own vocabulary, without added ones."""
        return self._tokenizer.get_vocab_size(with_added_tokens=False)

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def __bool__(self) -> bool:
        return True

    def get_vocab(self) -> dict[str, int]:
        """Return token → id, with added tokens."""
        return self._tokenizer.get_vocab(with_added_tokens=True)

    @property
    def vocab(self) -> dict[str, int]:
        """Token → id, with added tokens."""
        return self.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id → added token, by id."""
        return dict(sorted(self._tokenizer.get_added_tokens_decoder().items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """Added token → id, by id."""
        return {token.content: id for id, token in self.added_tokens_decoder.items()}

    def get_added_vocab(self) -> dict[str, int]:
        """Return added token → id."""
        return self.added_tokens_encoder

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """Return the id of a token, or the ids of several; the unknown token's id where there is none."""
        if tokens is None:
            return None
        if isinstance(tokens, str | AddedToken):
            found = self._tokenizer.token_to_id(str(getattr(tokens, "content", tokens)))
            if found is None and self._special["unk_token"] is not None:
                found = self._tokenizer.token_to_id(self.unk_token)
            return found
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """Return the token of an id, or the tokens of several.

        Args:
            ids: one id, a list or an array of ids.
            skip_special_tokens: leave special tokens out.
        """
        if hasattr(ids, "tolist"):
            ids = ids.tolist()
        if isinstance(ids, int):
            return self._tokenizer.id_to_token(ids)
        special = set(self.all_special_ids) if skip_special_tokens else ()
        return [self._tokenizer.id_to_token(int(id)) for id in ids if int(id) not in special]
