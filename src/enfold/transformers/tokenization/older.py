"""Methods of tokenizers that newer versions of the ecosystem dropped or renamed, and that code still calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from enfold.tokenizers import AddedToken

__all__ = ["OlderNames"]


class OlderNames:
    """Older methods, told in terms of what replaced them."""

    slow_tokenizer_class: ClassVar[Any] = None
    pretrained_vocab_files_map: ClassVar[dict[str, dict[str, str]]] = {}
    _tokenizer: Any
    vocab_files_names: ClassVar[dict[str, str]]

    @property
    def all_special_tokens_extended(self: Any) -> list[Any]:
        """Every special token once, as it was given."""
        given = [token for token in (*self._special.values(), *self._extra) if token is not None]
        return list({str(token): token for token in reversed(given)}.values())[::-1]

    def sanitize_special_tokens(self: Any) -> int:
        """Make sure that all special tokens are in the vocabulary; return how many were new."""
        return self.add_tokens(self.all_special_tokens_extended, special_tokens=True)

    @classmethod
    def convert_added_tokens(cls, obj: Any, save: bool = False, add_type_field: bool = True) -> Any:
        """Turn the added tokens in a nested value to what files hold (``save``), or back.

        Args:
            obj: a value of dictionaries and lists, with AddedTokens or their settings in it.
            save: make settings of AddedTokens instead of AddedTokens of settings.
            add_type_field: mark settings as an AddedToken; without, ``special`` is left out.
        """
        if isinstance(obj, AddedToken) and save:
            state = obj.__getstate__()
            return (
                {**state, "__type": "AddedToken"} if add_type_field else {k: state[k] for k in state if k != "special"}
            )
        if isinstance(obj, Mapping):
            if obj.get("__type") == "AddedToken":
                return AddedToken(**{key: value for key, value in obj.items() if key != "__type"})
            return {key: cls.convert_added_tokens(value, save, add_type_field) for key, value in obj.items()}
        if isinstance(obj, list | tuple):
            return [cls.convert_added_tokens(value, save, add_type_field) for value in obj]
        return obj

    def set_truncation_and_padding(
        self: Any,
        padding_strategy: Any,
        truncation_strategy: Any,
        max_length: int | None,
        stride: int,
        pad_to_multiple_of: int | None,
        padding_side: str | None = None,
    ) -> None:
        """Set how the core tokenizer itself cuts and pads; calls of this tokenizer settle that for themselves.

        Args:
            padding_strategy: "longest", "max_length" or "do_not_pad".
            truncation_strategy: "longest_first", "only_first", "only_second" or "do_not_truncate".
            max_length: the limit in tokens.
            stride: tokens that overflowing parts share.
            pad_to_multiple_of: pad to a multiple of this many tokens.
            padding_side: "right" or "left"; the tokenizer's own by default.
        """
        padding, truncation = (str(getattr(value, "value", value)) for value in (padding_strategy, truncation_strategy))
        core = self._tokenizer
        if truncation == "do_not_truncate":
            core.no_truncation()
        else:
            core.enable_truncation(max_length, stride, truncation, self.truncation_side)
        if padding == "do_not_pad":
            core.no_padding()
        else:
            core.enable_padding(
                direction=padding_side or self.padding_side,
                pad_id=self.pad_token_id,
                pad_type_id=self.pad_token_type_id,
                pad_token=self.pad_token,
                length=max_length if padding == "max_length" else None,
                pad_to_multiple_of=pad_to_multiple_of,
            )

    @property
    def can_save_slow_tokenizer(self) -> bool:
        """Whether the vocabulary files of the family can be written."""
        return len(self.vocab_files_names) > 1

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoTokenizer") -> None:
        """Accepted for the ecosystem's spelling: enfold reads registered classes from ``AutoTokenizer.register``."""

    def encode_message_with_chat_template(
        self: Any, message: Mapping[str, Any], conversation_history: Sequence[Any] | None = None, **kwargs: Any
    ) -> list[int]:
        """Return the ids that a message adds to a conversation.

        Args:
            message: the message, with "role" and "content".
            conversation_history: the messages before it.
            kwargs: as for ``apply_chat_template``.

        Returns:
            The ids from where those of the longer conversation begin to differ from those of the shorter.

        Raises:
            ValueError: ``add_generation_prompt`` was given, which belongs to no message.
        """
        if "add_generation_prompt" in kwargs:
            raise ValueError("add_generation_prompt belongs to a whole conversation: apply the chat template to that")
        options = {**kwargs, "tokenize": True, "return_dict": False}
        history = list(conversation_history or ())
        ids = self.apply_chat_template([*history, message], **options)
        if not history:
            return ids
        before = self.apply_chat_template(history, **options)
        same = next((at for at, pair in enumerate(zip(before, ids, strict=False)) if pair[0] != pair[1]), None)
        return ids[min(len(before), len(ids)) if same is None else same :]
