"""Chat templates: conversations to text and ids, rendered by Jinja in a sandbox that cannot reach Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from enfold.transformers.tokenization.controls import control_tokens, encode_marked, mark
from enfold.transformers.tokenization.messages import cut_open, open_last, plain_data, prepared
from enfold.transformers.tokenization.sandbox import ChatTemplateError, compiled
from enfold.transformers.tokenization.tools import tool_schema

__all__ = ["ChatTemplateError", "ChatTemplates", "render"]


def render(
    template: str, messages: Sequence[Any], mark: bool = False, **values: Any
) -> tuple[str, list[tuple[int, int]]]:
    """Render one conversation.

    Args:
        template: Jinja text.
        messages: the conversation, a list of {"role", "content", …}.
        mark: find what lies between ``{% generation %}`` and ``{% endgeneration %}``.
        values: further names that the template may use.

    Returns:
        The text, and the (start, end) characters that the assistant generates.

    Raises:
        ChatTemplateError: the template is malformed, refuses the conversation, or has no end.

    Example:
        >>> render("{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}", [{"role": "me", "content": "Hi"}])
        ('me:Hi', [])
    """
    from jinja2 import TemplateError

    try:
        text = compiled(template).render(messages=messages, _steps=[0], _generated=True if mark else None, **values)
    except TemplateError as error:
        raise ChatTemplateError(str(error)) from error
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError) as error:
        raise ChatTemplateError(f"the chat template fails on this conversation: {error}") from error
    if not mark:
        return text, []
    spans, plain, at = [], "", 0
    while (begin := text.find("\x00\x01", at)) >= 0:
        end = text.index("\x00\x02", begin)
        plain += text[at:begin]
        spans.append((len(plain), len(plain) + end - begin - 2))
        plain += text[begin + 2 : end]
        at = end + 2
    return plain + text[at:], spans


class ChatTemplates:
    """``apply_chat_template`` for tokenizers."""

    chat_template: Any

    def get_chat_template(self, chat_template: str | None = None, tools: Sequence[Any] | None = None) -> str:
        """Return the template to use: the one given, the one of that name, or the tokenizer's own.

        Raises:
            ChatTemplateError: there is none, or several and none called "default".
        """
        own = self.chat_template
        if isinstance(own, Mapping):
            if chat_template is not None:
                return own.get(chat_template, chat_template)
            name = "tool_use" if tools is not None and "tool_use" in own else "default"
            if name not in own:
                raise ChatTemplateError(
                    f"this tokenizer has several chat templates: pick one of {', '.join(sorted(own))}"
                )
            return own[name]
        if chat_template is not None:
            return chat_template
        if own is None:
            raise ChatTemplateError(
                "this tokenizer has no chat template: set tokenizer.chat_template or pass chat_template="
            )
        return own

    def apply_chat_template(
        self: Any,
        conversation: Any,
        tools: Sequence[Any] | None = None,
        documents: Sequence[Mapping[str, str]] | None = None,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool | str = False,
        tokenize: bool = True,
        sanitize_control_tokens: bool = False,
        padding: bool | str = False,
        truncation: bool = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        return_dict: bool = True,
        return_assistant_tokens_mask: bool = False,
        tokenizer_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Turn a conversation, or several, into text or model inputs.

        Args:
            conversation: a list of {"role", "content"} messages, or a list of such lists.
            tools: functions (described by their docstrings) or JSON schemas that the model may call.
            documents: {"title", "text"} documents for the template.
            chat_template: a template, or the name of one; the tokenizer's own by default.
            add_generation_prompt: end with what begins an answer.
            continue_final_message: leave the last message open, so that the model continues it; a name such as
                "reasoning_content" continues that field rather than "content".
            tokenize: return ids rather than text.
            sanitize_control_tokens: encode special tokens that stand in messages, tools, documents or ``kwargs`` as
                the text they are, so that only those of the template mean something.
            padding: as for calling the tokenizer.
            truncation: as for calling the tokenizer.
            max_length: as for calling the tokenizer.
            return_tensors: "pt", "np", "tf" or "jax".
            return_dict: return all model inputs (as since transformers 5), or only the ids.
            return_assistant_tokens_mask: add ``assistant_masks``, 1 for tokens of ``{% generation %}`` blocks.
            tokenizer_kwargs: further arguments of the call of the tokenizer.
            kwargs: further names for the template.

        Returns:
            Text, ids or a BatchEncoding; lists of them for several conversations.

        Raises:
            ChatTemplateError: no template, or it refuses the conversation.
            ValueError: arguments that contradict each other.
        """
        if return_assistant_tokens_mask and not (return_dict and tokenize):
            raise ValueError("return_assistant_tokens_mask needs tokenize=True and return_dict=True")
        if add_generation_prompt and continue_final_message:
            raise ValueError(
                "add_generation_prompt begins a new message, continue_final_message continues the last: pick one"
            )
        if continue_final_message and return_assistant_tokens_mask:
            raise ValueError("return_assistant_tokens_mask marks finished messages, not one to be continued")
        if sanitize_control_tokens and (not tokenize or return_assistant_tokens_mask):
            raise ValueError("sanitize_control_tokens needs tokenize=True and no return_assistant_tokens_mask")
        template = self.get_chat_template(chat_template, tools)
        conversation = getattr(conversation, "messages", conversation)
        if not len(conversation):
            raise ValueError("the conversation is empty: give at least one message")
        batched = isinstance(conversation[0], list | tuple) or hasattr(conversation[0], "messages")
        rows = [prepared(row) for row in (conversation if batched else [conversation])]
        if documents is not None and not all(isinstance(document, Mapping) for document in documents):
            raise TypeError("documents are dictionaries with title and text")
        seen = {
            **self.special_tokens_map,
            **plain_data(kwargs),
            "tools": None if tools is None else plain_data([tool_schema(tool) for tool in tools]),
            "documents": plain_data(documents),
        }
        if sanitize_control_tokens:
            tokens = control_tokens(self, template)
            rows = mark(rows, tokens)
            seen |= {name: mark(seen[name], tokens) for name in (*kwargs, "tools", "documents")}
        field = continue_final_message if isinstance(continue_final_message, str) else "content"
        texts, spans = [], []
        for messages in rows:
            said = open_last(messages, field, template) if continue_final_message else None
            text, marked = render(
                template,
                messages,
                mark=return_assistant_tokens_mask,
                add_generation_prompt=add_generation_prompt,
                **seen,
            )
            texts.append(text if said is None else cut_open(text, said))
            spans.append(marked)
        if not tokenize:
            return texts if batched else texts[0]
        if sanitize_control_tokens:
            ids = [encode_marked(self, text) for text in texts]
            if truncation and max_length is not None:
                ids = [row[:max_length] if self.truncation_side == "right" else row[-max_length:] for row in ids]
            made = {"input_ids": ids if batched or return_tensors else ids[0]}
            out = self.pad(made, padding=padding, max_length=max_length, return_tensors=return_tensors)
            return out if return_dict else out["input_ids"]
        out = self(
            texts if batched else texts[0],
            **{
                "padding": padding,
                "truncation": truncation,
                "max_length": max_length,
                "add_special_tokens": False,
                "return_tensors": return_tensors,
                **(tokenizer_kwargs or {}),
            },
        )
        if not return_dict:
            return out["input_ids"]
        if return_assistant_tokens_mask:
            masks = [_mask(encoding, marked) for encoding, marked in zip(out.encodings, spans, strict=True)]
            out["assistant_masks"] = masks if batched or return_tensors else masks[0]
            if return_tensors:
                out.convert_to_tensors(return_tensors)
        return out


def _mask(encoding: Any, spans: list[tuple[int, int]]) -> list[int]:
    mask = [0] * len(encoding)
    for start, end in spans:
        for index, (begin, stop) in enumerate(encoding.offsets):
            if begin < end and stop > start and begin < stop:
                mask[index] = 1
    return mask
