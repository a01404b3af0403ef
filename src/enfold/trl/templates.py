"""Chat templates in training: giving a model one, and finding what the assistant wrote."""

from __future__ import annotations

import os
import re
from typing import Any

from enfold.trl.formats import ChatTemplateError, prepare_multimodal_messages, shared_prefix

__all__ = [
    "CHATML",
    "clone_chat_template",
    "get_training_chat_template",
    "has_generation_markers",
    "is_chat_template_prefix_preserving",
    "read_chat_template",
    "setup_chat_format",
    "supports_tool_calling",
    "turn_masks",
]

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' "
    "+ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")
# What prints a whole message at once: everything before its content, the content, and everything after.
_PRINTED = re.compile(r"\{\{-?\s*(?P<before>(?:[^{}](?!\{\{))*?)\+?\s*(?P<content>message(?:\.content|\[['\"]content['\"]\])(?:\s*\|\s*trim)?)\s*(?P<after>(?:\+[^{}]*?)?)\s*-?\}\}")  # fmt: skip  # noqa: E501


def has_generation_markers(chat_template: Any) -> bool:
    """Return whether a template says itself what the assistant writes, with ``{% generation %}``.

    Example:
        >>> has_generation_markers("{%- generation -%}{{ text }}{% endgeneration %}")
        True
    """
    if isinstance(chat_template, dict):
        chat_template = chat_template.get("default")
    return isinstance(chat_template, str) and _MARK.search(chat_template) is not None


def turn_masks(tokenizer: Any, messages: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """Return the ids of a conversation, and which of them the assistant wrote, for any template.

    A turn is what the text gains from one message to the next: it begins where the template would ask for an answer,
    and ends with the answer's last token, the end of the turn included.

    Args:
        tokenizer: fast, so that it knows where each token stands.
        messages: the conversation.
        options: for the template.

    Raises:
        ChatTemplateError: the template writes an earlier turn otherwise once others follow it.
    """

    def render(part: list[dict[str, Any]], opening: bool = False) -> str:
        return tokenizer.apply_chat_template(part, tokenize=False, add_generation_prompt=opening, **options)  # type: ignore[no-any-return]

    try:
        text = render(messages)
        spans = []
        for index, message in enumerate(messages):
            if message["role"] == "assistant":
                start = shared_prefix(render(messages[:index], True), text) if index else 0
                whole = render(messages[: index + 1])
                stop = shared_prefix(whole, text)
                if stop < len(whole.rstrip()) or stop <= start:
                    raise ChatTemplateError(
                        f"the template writes the assistant's turn {index} otherwise once others follow, so that it "
                        "cannot be found: put {% generation %} and {% endgeneration %} around it in the template"
                    )
                spans.append((start, stop))
    except ChatTemplateError:
        raise
    except Exception as error:
        raise ChatTemplateError(f"the chat template fails on a part of a conversation: {error}") from error
    read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    inside = [
        int(any(begin < stop and end > start for start, stop in spans) and end > begin)
        for begin, end in read["offset_mapping"]
    ]
    return {"input_ids": read["input_ids"], "assistant_masks": inside}


def get_training_chat_template(processing_class: Any = None, tokenizer: Any = None) -> str | None:
    """Return a tokenizer's template with marks around what the assistant writes; None where it has them.

    The marks go around the content of a message and what ends it, wherever the template prints a whole message.

    Args:
        processing_class: has ``chat_template``.
        tokenizer: another name of it.

    Raises:
        ChatTemplateError: there is no template, or it prints messages in a way that is not understood.

    Example:
        >>> from types import SimpleNamespace
        >>> "{% generation %}" in get_training_chat_template(SimpleNamespace(chat_template=CHATML))
        True
    """
    owner = processing_class if processing_class is not None else tokenizer
    template = getattr(owner, "chat_template", None)
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        raise ChatTemplateError("the tokenizer has no chat template")
    if has_generation_markers(template):
        return None

    def marked(found: re.Match[str]) -> str:
        before, content, after = (found[name].strip() for name in ("before", "content", "after"))
        opening = "{{- " + before.rstrip("+ ") + " }}" if before.rstrip("+ ") else ""
        written = "{{- " + content + (f" {after}" if after else "") + " }}"
        return (
            f"{opening}{{%- if message['role'] == 'assistant' %}}{{%- generation %}}{written}{{%- endgeneration %}}"
            f"{{%- else %}}{written}{{%- endif %}}"
        )

    made, count = _PRINTED.subn(marked, template)
    if not count:
        raise ChatTemplateError(
            "the template prints messages in a way that is not understood: put {% generation %} and "
            "{% endgeneration %} around what the assistant writes, or train without assistant_only_loss"
        )
    return made


def is_chat_template_prefix_preserving(processing_class: Any) -> bool:
    """Return whether a conversation's text is the beginning of the text of a longer one."""
    call = {"type": "function", "function": {"name": "probe", "arguments": {}}}
    short: list[dict[str, Any]] = [
        {"role": "user", "content": "question"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    longer = [*short, {"role": "tool", "name": "probe", "content": "answer"}]
    if hasattr(processing_class, "tokenizer"):
        short, longer = prepare_multimodal_messages(short), prepare_multimodal_messages(longer)
    first = processing_class.apply_chat_template(short, tokenize=False)
    second = processing_class.apply_chat_template(longer, tokenize=False, add_generation_prompt=True)
    return bool(second.startswith(first))


def supports_tool_calling(processing_class: Any) -> bool:
    """Return whether a template shows everything about a call of a tool: its name, its arguments and its answer."""
    if getattr(processing_class, "chat_template", None) is None:
        return False
    name, key, value, answer = (f"probe_{part}_7c1e" for part in ("name", "key", "value", "answer"))
    call = {"type": "function", "function": {"name": name, "arguments": {key: value}}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "question"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": name, "content": answer},
    ]
    if hasattr(processing_class, "tokenizer"):
        messages = prepare_multimodal_messages(messages)
    try:
        text = processing_class.apply_chat_template(messages, tokenize=False)
    except Exception:
        return False
    return all(part in text for part in (name, key, value, answer))


def clone_chat_template(
    model: Any, tokenizer: Any, source_tokenizer_path: str, resize_to_multiple_of: int | None = 64
) -> tuple[Any, Any, list[int]]:
    """Give a model and its tokenizer the chat template of another, with the tokens that it needs.

    Args:
        model, tokenizer: to change.
        source_tokenizer_path: repository or folder of the other tokenizer.
        resize_to_multiple_of: round the number of tokens up to a multiple of this; None leaves it.

    Returns:
        Model, tokenizer, and the ids of the new tokens.
    """
    from enfold.transformers import AutoTokenizer

    source = AutoTokenizer.from_pretrained(source_tokenizer_path)
    tokenizer.chat_template = source.get_chat_template()
    vocabulary = tokenizer.get_vocab()
    fresh = [token for token in source.added_tokens_decoder.values() if str(token) not in vocabulary]
    tokenizer.add_tokens(fresh)
    tokenizer.eos_token = source.eos_token
    _settle_end(model, tokenizer)
    model.resize_token_embeddings(len(tokenizer.get_vocab()), pad_to_multiple_of=resize_to_multiple_of)
    rows = model.get_input_embeddings().weight.shape[0]
    made = [str(token) for token in fresh]
    spare = 0
    while len(tokenizer.get_vocab()) < rows:  # every row of the table stands for a token
        if f"<extra_id_{spare}>" not in tokenizer.get_vocab():
            made.append(f"<extra_id_{spare}>")
            tokenizer.add_tokens([made[-1]])
        spare += 1
    return model, tokenizer, [tokenizer.convert_tokens_to_ids(token) for token in made]


def _settle_end(model: Any, tokenizer: Any) -> None:
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    config.eos_token_id = tokenizer.eos_token_id
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.eos_token_id = tokenizer.eos_token_id


def setup_chat_format(
    model: Any, tokenizer: Any, format: str | None = "chatml", resize_to_multiple_of: int | None = None
) -> tuple[Any, Any]:
    """Give a model without a chat template ChatML's, with its two tokens.

    Args:
        model, tokenizer: to change.
        format: ``"chatml"``, the only one.
        resize_to_multiple_of: round the number of tokens up to a multiple of this.

    Raises:
        ChatTemplateError: the tokenizer has a template already, or another format is asked for.
    """
    if tokenizer.chat_template is not None:
        raise ChatTemplateError("the tokenizer has a chat template already: set tokenizer.chat_template = None first")
    if format != "chatml":
        raise ChatTemplateError(f"the format is 'chatml', not {format!r}")
    begin, end = "<|im_start|>", "<|im_end|>"
    tokenizer.eos_token = tokenizer.pad_token = end
    tokenizer.bos_token = begin
    tokenizer.add_special_tokens({"additional_special_tokens": [begin, end]})
    tokenizer.chat_template = CHATML
    model.resize_token_embeddings(len(tokenizer.get_vocab()), pad_to_multiple_of=resize_to_multiple_of)
    _settle_end(model, tokenizer)
    model.config.pad_token_id, model.config.bos_token_id = tokenizer.pad_token_id, tokenizer.bos_token_id
    return model, tokenizer


def read_chat_template(model: Any, processing_class: Any, path: str) -> Any:
    """Take the chat template from a Jinja file or from another tokenizer; return the model, resized if that was so."""
    if os.path.isfile(path) and path.endswith((".jinja", ".j2")):
        with open(path, encoding="utf-8") as file:
            processing_class.chat_template = file.read()
        return model
    return clone_chat_template(model, processing_class, path)[0]
