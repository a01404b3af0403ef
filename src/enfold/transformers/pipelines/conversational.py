"""Conversations turn by turn, as version 4 had them; text-generation answers lists of messages as well."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from enfold.transformers.pipelines.writing import WritingPipeline

__all__ = ["Conversation", "ConversationalPipeline"]


class Conversation:
    """A conversation and what was said in it.

    Args:
        messages: the user's first words, or a list of {"role", "content"}.
        conversation_id: a UUID; drawn by default.
        past_user_inputs: what the user said before, oldest first.
        generated_responses: what was answered, oldest first.

    Example:
        >>> talk = Conversation("Hello")
        >>> talk.append_response("Hi!")
        >>> talk.add_user_input("How are you?")
        >>> talk.past_user_inputs, talk.new_user_input, talk.generated_responses
        (['Hello'], 'How are you?', ['Hi!'])
    """

    def __init__(
        self,
        messages: str | list[dict[str, str]] | None = None,
        conversation_id: uuid.UUID | None = None,
        past_user_inputs: list[str] | None = None,
        generated_responses: list[str] | None = None,
        text: str | None = None,
    ) -> None:
        self.uuid = conversation_id or uuid.uuid4()
        messages = text if messages is None else messages
        self.messages: list[dict[str, str]] = []
        answers = list(generated_responses or ())
        for place, said in enumerate(past_user_inputs or ()):
            self.messages.append({"role": "user", "content": said})
            if place < len(answers):
                self.messages.append({"role": "assistant", "content": answers[place]})
        if isinstance(messages, str):
            self.messages.append({"role": "user", "content": messages})
        else:
            self.messages.extend(messages or ())

    def add_message(self, message: dict[str, str]) -> None:
        """Append a message.

        Raises:
            ValueError: it lacks its role or its content, or the role is none of a conversation's.
        """
        if not {"role", "content"} <= set(message):
            raise ValueError("a message has the keys 'role' and 'content'")
        if message["role"] not in ("user", "assistant", "system"):
            raise ValueError(f"the role of a message is user, assistant or system, not {message['role']!r}")
        self.messages.append(message)

    def add_user_input(self, text: str, overwrite: bool = False) -> None:
        """Append what the user says; an input that waits for its answer stays, unless ``overwrite`` replaces it."""
        if self.new_user_input is None:
            self.messages.append({"role": "user", "content": text})
        elif overwrite:
            self.messages[-1] = {"role": "user", "content": text}
        else:
            warnings.warn(
                f"the user's {self.new_user_input!r} has no answer yet; {text!r} is left out (overwrite=True replaces)",
                stacklevel=2,
            )

    def append_response(self, response: str) -> None:
        """Append an answer."""
        self.messages.append({"role": "assistant", "content": response})

    def mark_processed(self) -> None:
        """Accepted: the messages themselves say what has been answered."""

    @property
    def new_user_input(self) -> str | None:
        """What the user said last, if nobody has answered."""
        last = self.messages[-1] if self.messages else None
        return last["content"] if last is not None and last["role"] == "user" else None

    @property
    def past_user_inputs(self) -> list[str]:
        """What the user said and got an answer to."""
        said = [message["content"] for message in self.messages if message["role"] == "user"]
        return said if self.new_user_input is None else said[:-1]

    @property
    def generated_responses(self) -> list[str]:
        """All answers."""
        return [message["content"] for message in self.messages if message["role"] == "assistant"]

    def iter_texts(self) -> Iterator[tuple[bool, str]]:
        """Yield whether the user speaks, and what is said."""
        for message in self.messages:
            yield message["role"] == "user", message["content"]

    def __iter__(self) -> Iterator[dict[str, str]]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)

    def __getitem__(self, place: Any) -> Any:
        return self.messages[place]

    def __setitem__(self, place: int, message: dict[str, str]) -> None:
        self.messages[place] = message

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Conversation) and (self.uuid == other.uuid or self.messages == other.messages)

    def __hash__(self) -> int:
        return hash(self.uuid)

    def __repr__(self) -> str:
        lines = [f"{message['role']}: {message['content']}" for message in self.messages]
        return "\n".join([f"Conversation id: {self.uuid}", *lines, ""])


class ConversationalPipeline(WritingPipeline):
    """Answers conversations.

    Takes a ``Conversation`` (or a list of messages), one or a list. Arguments of a call (or of ``pipeline``):
    ``clean_up_tokenization_spaces``, ``min_length_for_response`` (tokens kept free for the answer, 32), and everything
    that ``generate`` takes.

    Returns the conversation with the answer appended.
    """

    def _sanitize_parameters(
        self,
        min_length_for_response: int | None = None,
        minimum_tokens: int | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        **generate_kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before = {} if min_length_for_response is None else {"min_length_for_response": min_length_for_response}
        after: dict[str, Any] = {}
        if clean_up_tokenization_spaces is not None:
            after["clean_up_tokenization_spaces"] = clean_up_tokenization_spaces
        return before, generate_kwargs, after

    def __call__(self, conversations: Any, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Answer a conversation or a list of conversations."""
        if isinstance(conversations, list) and conversations and isinstance(conversations[0], dict):
            conversations = Conversation(conversations)
        elif isinstance(conversations, list):
            conversations = [item if isinstance(item, Conversation) else Conversation(item) for item in conversations]
        answers = super().__call__(conversations, *args, **kwargs)
        return answers[0] if isinstance(answers, list) and len(answers) == 1 else answers

    def preprocess(self, conversation: Any, min_length_for_response: int = 32) -> dict[str, Any]:  # type: ignore[override]
        """Turn a conversation into ids [1, tokens], its beginning cut where the answer would have no room."""
        if conversation.new_user_input is None:
            raise ValueError(f"the conversation {conversation.uuid} does not wait for an answer: add_user_input first")
        ids = self.tokenizer.apply_chat_template(
            conversation.messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )["input_ids"]
        room = getattr(self.model.config, "max_position_embeddings", None)
        if room is not None and ids.shape[1] > room - min_length_for_response:
            ids = ids[:, -(room - min_length_for_response) :]
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "conversation": conversation}

    def _forward(self, model_inputs: Any, **generate_kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        ids, mask = model_inputs["input_ids"], model_inputs["attention_mask"]
        written = self.model.generate(input_ids=ids, attention_mask=mask, **self.settings(generate_kwargs))
        start = 1 if getattr(self.model.config, "is_encoder_decoder", False) else ids.shape[1]
        return {"output_ids": written[:, start:], "conversation": model_inputs["conversation"]}

    def postprocess(  # type: ignore[override]
        self, model_outputs: dict[str, Any], clean_up_tokenization_spaces: bool = True
    ) -> Conversation:
        """Append the answer to the conversation."""
        conversation: Conversation = model_outputs["conversation"]
        text = self.tokenizer.decode(
            model_outputs["output_ids"][0].tolist(),
            skip_special_tokens=True,
            clean_up_tokenization_spaces=clean_up_tokenization_spaces,
        )
        conversation.append_response(text)
        return conversation
