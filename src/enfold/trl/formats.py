"""The shapes that alignment data comes in, and turning one into another.

========================  =============================================  ==================================
kind                      columns                                        what trains on it
========================  =============================================  ==================================
language modelling        ``text`` or ``messages``                       SFT
prompt only               ``prompt``                                     GRPO, RLOO, online DPO, PPO
prompt and completion     ``prompt``, ``completion``                     SFT
preference                ``[prompt]``, ``chosen``, ``rejected``         DPO, reward, ORPO, CPO
unpaired preference       ``prompt``, ``completion``, ``label``          KTO, BCO
========================  =============================================  ==================================

Each is standard (text) or conversational (lists of ``{"role", "content"}`` messages). The functions here work on one
row; nothing is loaded to call them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from enfold.errors import EnfoldError, nearest

__all__ = [
    "ChatTemplateError",
    "MissingColumns",
    "apply_chat_template",
    "column_names",
    "extract_prompt",
    "is_conversational",
    "is_conversational_from_value",
    "maybe_apply_chat_template",
    "maybe_convert_to_chatml",
    "maybe_extract_prompt",
    "maybe_unpair_preference_dataset",
    "prepare_multimodal_messages",
    "require_columns",
    "shared_prefix",
    "template_options",
    "token_ids",
    "unpair_preference_dataset",
]

Row = dict[str, Any]

MESSAGE_COLUMNS = ("prompt", "chosen", "rejected", "completion", "messages")
ROLES = ("system", "user", "assistant", "tool")
# Every set of columns that a chat template can be applied to.
SHAPES = (
    {"messages"},
    {"prompt"},
    {"prompt", "completion"},
    {"prompt", "chosen", "rejected"},
    {"chosen", "rejected"},
    {"prompt", "completion", "label"},
)


class MissingColumns(ValueError, EnfoldError):
    """A data set lacks columns that a training needs; the message names them and what was found."""


class ChatTemplateError(ValueError, EnfoldError):
    """A chat template could not render a row's messages."""


def column_names(dataset: Any) -> list[str]:
    """Return a data set's columns; a stream that does not know them is asked for its first row."""
    names = getattr(dataset, "column_names", None)
    if isinstance(names, Mapping):
        names = next(iter(names.values()))
    return list(names) if names is not None else list(next(iter(dataset)))


def require_columns(dataset: Any, *choices: Sequence[str], trainer: str) -> None:
    """Check that a data set has all columns of at least one choice.

    Args:
        dataset: has ``column_names``, or rows.
        choices: each the columns of one accepted form.
        trainer: whose data it is, for the message.

    Raises:
        MissingColumns: none of the choices is there.

    Example:
        >>> require_columns([{"prompt": "a", "choosen": "b"}], ["chosen", "rejected"], trainer="DPOTrainer")
        Traceback (most recent call last):
            ...
        enfold.trl.formats.MissingColumns: DPOTrainer needs the columns chosen and rejected; the data set has prompt \
and choosen; did you mean 'choosen' to be 'chosen'?
    """
    found = column_names(dataset)
    if any(set(choice) <= set(found) for choice in choices):
        return
    wanted = "; or ".join(_listed(choice) for choice in choices)
    missing = [name for name in choices[0] if name not in found]
    hints = [(name, nearest(name, found)) for name in missing]
    near = next((f"; did you mean {hint.split(chr(39))[1]!r} to be {name!r}?" for name, hint in hints if hint), "")
    raise MissingColumns(f"{trainer} needs the columns {wanted}; the data set has {_listed(found)}{near}")


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) or "none"


def is_conversational(example: Row) -> bool:
    """Return whether a row holds messages rather than text.

    Example:
        >>> is_conversational({"prompt": [{"role": "user", "content": "Hi"}]}), is_conversational({"prompt": "Hi"})
        (True, False)
    """
    value = next((example[name] for name in MESSAGE_COLUMNS if name in example), None)
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping) and "role" in value[0]


def is_conversational_from_value(example: Row) -> bool:
    """Return whether a row holds ``conversations`` of ``{"from", "value"}`` messages, ShareGPT's form."""
    value = example.get("conversations")
    return (
        isinstance(value, list) and bool(value) and isinstance(value[0], Mapping) and {"from", "value"} <= set(value[0])
    )


def maybe_convert_to_chatml(example: Row) -> Row:
    """Return a row whose messages are of the form ``{"role", "content"}``, and ``conversations`` called ``messages``.

    Example:
        >>> maybe_convert_to_chatml({"conversations": [{"from": "user", "value": "Hi"}]})
        {'messages': [{'role': 'user', 'content': 'Hi'}]}
    """
    names = {"from": "role", "value": "content"}
    turned = {}
    for column, value in example.items():
        if column in (*MESSAGE_COLUMNS, "conversations") and isinstance(value, list):
            value = [
                {
                    **{k: v for k, v in item.items() if k not in names},
                    **{n: item[o] for o, n in names.items() if o in item},
                }
                if isinstance(item, Mapping)
                else item
                for item in value
            ]
        turned["messages" if column == "conversations" else column] = value
    return turned


def prepare_multimodal_messages(messages: list[Row], images: Sequence[Any] | None = None) -> list[Row]:
    """Return messages whose contents are lists of blocks, with the images in their places.

    Text of the first user message is led by one place for every image, where no message says where they stand.

    Args:
        messages: of the roles system, user, assistant and tool.
        images: what fills the places, in order.

    Raises:
        ValueError: another role, or another number of places than of images.

    Example:
        >>> prepare_multimodal_messages([{"role": "user", "content": "Hi"}])
        [{'role': 'user', 'content': [{'type': 'text', 'text': 'Hi'}]}]
    """
    pictures = list(images or ())
    led, blocks = False, []
    for message in messages:
        if message["role"] not in ROLES:
            raise ValueError(f"a message's role is one of {', '.join(ROLES)}, not {message['role']!r}")
        content = message.get("content")
        if isinstance(content, str):
            first = message["role"] == "user" and not led
            led = led or first
            places = [{"type": "image"} for _ in pictures] if first else []
            message = {**message, "content": [*places, {"type": "text", "text": content}]}
        blocks.append(message)
    open_places = sum(_is_place(part) for item in blocks for part in _parts(item))
    if open_places != len(pictures):
        raise ValueError(f"{len(pictures)} images were given for {open_places} places in the messages")
    if not pictures:
        return blocks
    waiting = iter(pictures)
    return [
        {**item, "content": [{**p, "image": next(waiting)} if _is_place(p) else p for p in _parts(item)]}
        if _parts(item)
        else item
        for item in blocks
    ]


def _parts(message: Row) -> list[Any]:
    return [] if message["role"] == "tool" else list(message.get("content") or ())


def _is_place(part: Any) -> bool:
    return part["type"] == "image" and "image" not in part


def apply_chat_template(
    example: Row, processing_class: Any, tools: Sequence[Any] | None = None, **template_kwargs: Any
) -> Row:
    """Return a conversational row as text: what the model reads, and what it should write after it.

    Args:
        example: one of the shapes above; ``chat_template_kwargs`` in it go to the template.
        processing_class: has ``apply_chat_template``.
        tools: functions or schemas that the model may call.
        template_kwargs: further names for the template.

    Returns:
        The same columns as text, ``messages`` as ``text``.

    Raises:
        KeyError: the row has another set of columns.
        ChatTemplateError: the template fails on the messages.
    """
    there = {name for name in (*MESSAGE_COLUMNS, "label") if name in example}
    if there not in SHAPES:
        raise KeyError(f"a row with the columns {_listed(sorted(there))} has no chat form")
    given = {**(example.get("chat_template_kwargs") or {}), **template_kwargs}

    def render(messages: list[Row], **options: Any) -> str:
        return _rendered(processing_class, messages, tools=tools or None, tokenize=False, **options, **given)

    made: Row = {}
    if "messages" in example:
        made["text"] = render(example["messages"])
    answers = [name for name in ("chosen", "rejected", "completion") if name in example]
    if "prompt" in example:
        role = example["prompt"][-1]["role"]
        if role not in ("user", "tool", "assistant"):
            raise ChatTemplateError(f"a prompt ends with a user's, tool's or assistant's message, not with {role!r}")
        opening = role != "assistant"
        prompt = render(example["prompt"], add_generation_prompt=opening, continue_final_message=not opening)
        wholes = {name: render(example["prompt"] + example[name]) for name in answers}
        # Some templates write more before an answer that is to come than before one that is there: the prompt is
        # what all of them begin with.
        prompt = prompt[: min((shared_prefix(prompt, whole) for whole in wholes.values()), default=len(prompt))]
        made["prompt"] = prompt
        made.update({name: whole[len(prompt) :] for name, whole in wholes.items()})
    else:
        made.update({name: render(example[name]) for name in answers})
    if "label" in example:
        made["label"] = example["label"]
    return made


def _rendered(processing_class: Any, messages: list[Row], **options: Any) -> Any:
    try:
        return processing_class.apply_chat_template(messages, **options)
    except Exception as error:
        roles = ", ".join(str(item.get("role")) if isinstance(item, Mapping) else "?" for item in messages)
        raise ChatTemplateError(
            f"the chat template of {type(processing_class).__name__} fails on messages of the roles {roles}: {error}"
        ) from error


def maybe_apply_chat_template(
    example: Row, processing_class: Any, tools: Sequence[Any] | None = None, **template_kwargs: Any
) -> Row:
    """Return :func:`apply_chat_template` of a conversational row, and any other row as it is."""
    if not is_conversational(example):
        return example
    return apply_chat_template(example, processing_class, tools, **template_kwargs)


def token_ids(processing_class: Any, content: str | list[Row], **template: Any) -> dict[str, Any]:
    """Return what a model reads of a text, or of messages.

    Args:
        processing_class: tokenizer or processor.
        content: text, or messages.
        template: for the chat template; nothing of it concerns text.
    """
    if isinstance(content, str):
        read = processing_class(text=content)
    else:
        if hasattr(processing_class, "tokenizer"):
            content = prepare_multimodal_messages(content)
        read = _rendered(processing_class, content, tokenize=True, return_dict=True, **template)
    if hasattr(processing_class, "tokenizer"):  # a processor makes a batch of everything
        return {name: value[0] for name, value in read.items()}
    return dict(read)


def template_options(example: Row) -> Row:
    """Return what a row says about its own rendering: its tools, and further names for the template."""
    tools = example.get("tools")
    return {
        "tools": json.loads(tools) if isinstance(tools, str) else tools,
        **(example.get("chat_template_kwargs") or {}),
    }


def shared_prefix(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Return how many leading items two sequences share.

    Example:
        >>> shared_prefix([1, 2, 3], [1, 2, 4, 5])
        2
    """
    return next((i for i, (a, b) in enumerate(zip(first, second)) if a != b), min(len(first), len(second)))  # noqa: B905


def extract_prompt(example: Row) -> Row:
    """Return a preference whose shared beginning stands apart, as ``prompt``.

    Example:
        >>> extract_prompt({"chosen": "The sky is blue", "rejected": "The sky is red"})
        {'prompt': 'The sky is', 'chosen': ' blue', 'rejected': ' red'}
    """
    chosen, rejected = example["chosen"], example["rejected"]
    length = shared_prefix(chosen, rejected)
    if length == min(len(chosen), len(rejected)):
        length -= 1  # one is the beginning of the other: an answer is never empty
    elif chosen[length - 1] == " ":
        length -= 1  # the space belongs to the word after it
    return {"prompt": chosen[:length], "chosen": chosen[length:], "rejected": rejected[length:]}


def maybe_extract_prompt(example: Row) -> Row:
    """Return :func:`extract_prompt` of a preference without a prompt of the same form; any other row as it is."""
    if "chosen" not in example or "rejected" not in example:
        return example
    if "prompt" in example:
        forms = {is_conversational({"prompt": example[name]}) for name in ("prompt", "chosen")}
        if len(forms) == 1:
            return example
    return extract_prompt({name: example[name] for name in ("chosen", "rejected")})


def unpair_preference_dataset(dataset: Any, **map_kwargs: Any) -> Any:
    """Return a data set of completions with ``label`` True for each chosen and False for each rejected one.

    Args:
        dataset: with ``chosen``, ``rejected`` and perhaps ``prompt``; other columns are repeated.
        map_kwargs: for the data set's ``map``.
    """
    return dataset.map(_unpaired, batched=True, remove_columns=column_names(dataset), **map_kwargs)


def _unpaired(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    count = len(batch["chosen"])
    rows = {"completion": batch["chosen"] + batch["rejected"], "label": [True] * count + [False] * count}
    return rows | {name: values + values for name, values in batch.items() if name not in ("chosen", "rejected")}


def maybe_unpair_preference_dataset(dataset: Any, num_proc: int | None = None, desc: str | None = None) -> Any:
    """Return :func:`unpair_preference_dataset` of a paired data set, and any other as it is."""
    if {"chosen", "rejected"} <= set(column_names(dataset)):
        return unpair_preference_dataset(dataset, num_proc=num_proc, desc=desc)
    return dataset
