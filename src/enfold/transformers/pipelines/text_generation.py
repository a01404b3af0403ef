"""Text generation: what a causal language model writes after a prompt or in a conversation."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import torch

from enfold.transformers.pipelines.base import length_batches
from enfold.transformers.pipelines.writing import WritingPipeline

__all__ = ["Chat", "ReturnType", "TextGenerationPipeline"]


class ReturnType(enum.Enum):
    """What is returned for a prompt."""

    TENSORS = 0
    NEW_TEXT = 1
    FULL_TEXT = 2


class Chat:
    """A conversation.

    Args:
        messages: a list of {"role", "content", …}.

    Raises:
        ValueError: a message lacks its role or its content.
    """

    def __init__(self, messages: Any) -> None:
        for message in messages:
            if "role" not in message or not ("content" in message or "tool_calls" in message):
                raise ValueError("each message of a conversation has the keys 'role' and 'content'")
        self.messages = list(messages)


def _is_chat(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and isinstance(value[0], Mapping)


class TextGenerationPipeline(WritingPipeline):
    """Continues prompts and conversations.

    Arguments of a call (or of ``pipeline``): ``return_full_text`` (whether the prompt is part of the text; default
    True), ``return_tensors`` (ids instead of text), ``clean_up_tokenization_spaces``, ``prefix`` (put before each
    prompt), ``handle_long_generation`` ("hole": cut the beginning of prompts that leave no room), ``stop_sequence``
    (end at this text, or at one of several), ``skip_special_tokens``, ``tokenizer_encode_kwargs``,
    ``continue_final_message``, ``tools``, ``documents``, and everything that ``generate`` takes.

    Returns ``[{"generated_text"}]`` for a prompt, a list of those for a list; a conversation comes back as a list of
    messages that ends with the new one.
    """

    defaults = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}

    def _sanitize_parameters(
        self,
        return_full_text: bool | None = None,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        return_type: ReturnType | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        prefix: str | None = None,
        handle_long_generation: str | None = None,
        stop_sequence: str | list[str] | None = None,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        continue_final_message: bool | None = None,
        skip_special_tokens: bool | None = None,
        tokenizer_encode_kwargs: dict[str, Any] | None = None,
        tools: list[Any] | None = None,
        documents: list[Any] | None = None,
        add_special_tokens: bool | None = None,
        padding: bool | str | None = None,
        **generate_kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before: dict[str, Any] = {}
        given = {
            "prefix": prefix or None,
            "truncation": truncation,
            "add_special_tokens": add_special_tokens,
            "continue_final_message": continue_final_message,
            "tokenizer_encode_kwargs": tokenizer_encode_kwargs,
            "tools": tools,
            "documents": documents,
        }
        before.update({key: value for key, value in given.items() if value is not None})
        if max_length is not None:
            before["max_length"] = max_length
            generate_kwargs["max_length"] = max_length
        if handle_long_generation is not None:
            if handle_long_generation != "hole":
                raise ValueError(f"handle_long_generation is None or 'hole', not {handle_long_generation!r}")
            before["handle_long_generation"] = handle_long_generation
            before["generate_kwargs"] = generate_kwargs
        if stop_sequence is not None:
            generate_kwargs["stop_strings"] = [stop_sequence] if isinstance(stop_sequence, str) else list(stop_sequence)
        after: dict[str, Any] = {}
        if return_full_text is not None:
            if return_text is not None or return_tensors is not None:
                raise ValueError("return_full_text goes with neither return_text nor return_tensors")
            after["return_type"] = ReturnType.FULL_TEXT if return_full_text else ReturnType.NEW_TEXT
        if return_tensors:
            after["return_type"] = ReturnType.TENSORS
        if return_type is not None:
            after["return_type"] = return_type
        if clean_up_tokenization_spaces is not None:
            after["clean_up_tokenization_spaces"] = clean_up_tokenization_spaces
        if continue_final_message is not None:
            after["continue_final_message"] = continue_final_message
        if skip_special_tokens is not None:
            after["skip_special_tokens"] = skip_special_tokens
        return before, generate_kwargs, after

    def __call__(self, text_inputs: Any, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Continue a prompt, a conversation, a list of either, a generator or a data set."""
        if _is_chat(text_inputs):
            return super().__call__(Chat(text_inputs), *args, **kwargs)
        if isinstance(text_inputs, list | tuple) and text_inputs and all(map(_is_chat, text_inputs)):
            return super().__call__([Chat(messages) for messages in text_inputs], *args, **kwargs)
        return super().__call__(text_inputs, *args, **kwargs)

    # --- steps

    def preprocess(  # type: ignore[override]
        self,
        prompt_text: Any,
        prefix: str | None = None,
        handle_long_generation: str | None = None,
        add_special_tokens: bool | None = None,
        truncation: Any = None,
        max_length: int | None = None,
        continue_final_message: bool | None = None,
        tokenizer_encode_kwargs: dict[str, Any] | None = None,
        tools: Any = None,
        documents: Any = None,
        generate_kwargs: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Turn a prompt or a conversation into ids [1, tokens], with the prompt kept beside them."""
        asked = {"add_special_tokens": add_special_tokens, "truncation": truncation, "max_length": max_length}
        arguments = {key: value for key, value in asked.items() if value is not None}
        arguments.update(tokenizer_encode_kwargs or {})
        if _is_chat(prompt_text):
            prompt_text = Chat(prompt_text)
        if isinstance(prompt_text, Chat):
            arguments.pop("add_special_tokens", None)
            going_on = _goes_on(prompt_text, continue_final_message)
            limits = {key: arguments.pop(key) for key in ("truncation", "max_length") if key in arguments}
            encoded = self.tokenizer.apply_chat_template(
                prompt_text.messages,
                add_generation_prompt=not going_on,
                continue_final_message=going_on,
                return_dict=True,
                return_tensors="pt",
                tools=tools,
                documents=documents,
                tokenizer_kwargs=arguments,
                **limits,
            )
        else:
            if not isinstance(prompt_text, str):
                raise ValueError(f"text-generation takes texts or conversations, not {type(prompt_text).__name__}")
            encoded = self.tokenizer(
                ((self.prefix if prefix is None else prefix) or "") + prompt_text, return_tensors="pt", **arguments
            )
        inputs = {"input_ids": encoded["input_ids"], "prompt_text": prompt_text}
        if "attention_mask" in encoded:
            inputs["attention_mask"] = encoded["attention_mask"]
        if handle_long_generation == "hole":
            self._make_room(inputs, generate_kwargs or {})
        return inputs

    def _make_room(self, inputs: dict[str, Any], asked: dict[str, Any]) -> None:
        length = inputs["input_ids"].shape[-1]
        new = asked.get("max_new_tokens")
        if new is None:
            new = self.settings(asked).get("max_new_tokens", 0) or max((asked.get("max_length") or length) - length, 0)
        if length + new > self.tokenizer.model_max_length:
            keep = self.tokenizer.model_max_length - new
            if keep <= 0:
                raise ValueError(f"{new} new tokens alone are more than the model's {self.tokenizer.model_max_length}")
            for name in ("input_ids", "attention_mask"):
                if name in inputs:
                    inputs[name] = inputs[name][:, -keep:]

    def _forward(self, model_inputs: Any, **generate_kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        ids, mask = model_inputs["input_ids"], model_inputs.get("attention_mask")
        if ids.shape[1] == 0:
            ids = mask = None
        out = self.model.generate(input_ids=ids, attention_mask=mask, **self.settings(generate_kwargs))
        sequences = out if isinstance(out, torch.Tensor) else out["sequences"]
        rows = 1 if ids is None else ids.shape[0]
        return {**model_inputs, "generated_sequence": sequences.reshape(rows, sequences.shape[0] // rows, -1)}

    def run_many(
        self,
        inputs: list[Any],
        batch_size: int | None,
        preprocess_params: Any,
        forward_params: Any,
        postprocess_params: Any,
    ) -> list[Any]:
        """Write for prompts of like length together, padded on the left, and put the answers back in order."""
        ready = [self.preprocess(item, **preprocess_params) for item in inputs]
        lengths = [item["input_ids"].shape[1] for item in ready]
        pad = self.pad_id()
        settings = self.settings(forward_params)
        # Each prompt has its own room under max_length, and draws its own random numbers: those run alone.
        alone = settings.get("streamer") is not None or pad is None or min(lengths) == 0
        if batch_size is None and (settings.get("do_sample") or settings.get("max_new_tokens") is None):
            alone = True
        answers: list[Any] = [None] * len(inputs)
        for batch in length_batches(lengths, 1 if alone else batch_size):
            longest = max(lengths[place] for place in batch)
            if settings.get("max_new_tokens") is None and len({lengths[place] for place in batch}) > 1:
                groups = [[place] for place in batch]
            else:
                groups = [batch]
            for group in groups:
                width = longest if len(group) > 1 else lengths[group[0]]
                ids = torch.full((len(group), width), 0 if pad is None else pad, dtype=torch.long)
                mask = torch.zeros((len(group), width), dtype=torch.long)
                for row, place in enumerate(group):
                    ids[row, width - lengths[place] :] = ready[place]["input_ids"][0]
                    mask[row, width - lengths[place] :] = 1
                out = self.forward({"input_ids": ids, "attention_mask": mask}, **forward_params)
                for row, place in enumerate(group):
                    written = out["generated_sequence"][row : row + 1, :, width - lengths[place] :]
                    answers[place] = self.postprocess(
                        {**ready[place], "generated_sequence": written}, **postprocess_params
                    )
        return answers

    def postprocess(  # type: ignore[override]
        self,
        model_outputs: dict[str, Any],
        return_type: ReturnType = ReturnType.FULL_TEXT,
        clean_up_tokenization_spaces: bool | None = True,
        continue_final_message: bool | None = None,
        skip_special_tokens: bool | None = None,
    ) -> list[dict[str, Any]]:
        """Turn generated ids [1, sequences, tokens] into texts or conversations."""
        prompt = model_outputs["prompt_text"]
        ids = model_outputs["input_ids"]
        skip = True if skip_special_tokens is None else skip_special_tokens
        records: list[dict[str, Any]] = []
        for row in model_outputs["generated_sequence"][0].tolist():
            if return_type == ReturnType.TENSORS:
                records.append({"generated_token_ids": row})
                continue
            how = {"skip_special_tokens": skip, "clean_up_tokenization_spaces": clean_up_tokenization_spaces}
            known = len(self.tokenizer.decode(ids[0].tolist(), **how)) if ids.shape[1] else 0
            text: Any = self.tokenizer.decode(row, **how)[known:]
            if return_type == ReturnType.FULL_TEXT:
                if isinstance(prompt, str):
                    text = prompt + text
                elif _goes_on(prompt, continue_final_message):
                    last = prompt.messages[-1]
                    text = [*prompt.messages[:-1], {**last, "content": last["content"] + text}]
                else:
                    text = [*prompt.messages, {"role": "assistant", "content": text}]
            records.append({"generated_text": text})
        return records


def _goes_on(chat: Chat, asked: bool | None) -> bool:
    """Whether the last message is continued: as asked, else when it is the assistant's."""
    return chat.messages[-1]["role"] == "assistant" if asked is None else asked
