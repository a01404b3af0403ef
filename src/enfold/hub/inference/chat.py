"""What servers of language models answer, whole or token by token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from enfold.hub.inference.shape import BaseInferenceType

__all__ = [
    "ChatCompletionOutput",
    "ChatCompletionOutputComplete",
    "ChatCompletionOutputFunctionDefinition",
    "ChatCompletionOutputLogprob",
    "ChatCompletionOutputLogprobs",
    "ChatCompletionOutputMessage",
    "ChatCompletionOutputToolCall",
    "ChatCompletionOutputTopLogprob",
    "ChatCompletionOutputUsage",
    "ChatCompletionStreamOutput",
    "ChatCompletionStreamOutputChoice",
    "ChatCompletionStreamOutputDelta",
    "ChatCompletionStreamOutputDeltaToolCall",
    "ChatCompletionStreamOutputFunction",
    "ChatCompletionStreamOutputLogprob",
    "ChatCompletionStreamOutputLogprobs",
    "ChatCompletionStreamOutputTopLogprob",
    "ChatCompletionStreamOutputUsage",
    "TextGenerationOutput",
    "TextGenerationOutputBestOfSequence",
    "TextGenerationOutputDetails",
    "TextGenerationOutputFinishReason",
    "TextGenerationOutputPrefillToken",
    "TextGenerationOutputToken",
    "TextGenerationStreamOutput",
    "TextGenerationStreamOutputStreamDetails",
    "TextGenerationStreamOutputToken",
]

TextGenerationOutputFinishReason = Literal["length", "eos_token", "stop_sequence"]


@dataclass(eq=False)
class _Tokens(BaseInferenceType):
    completion_tokens: int
    prompt_tokens: int
    total_tokens: int


@dataclass(eq=False)
class _Likely(BaseInferenceType):
    logprob: float
    token: str


@dataclass(eq=False)
class _Token(BaseInferenceType):
    id: int
    logprob: float
    special: bool
    text: str


@dataclass(eq=False)
class ChatCompletionOutput(BaseInferenceType):
    """A chat's next message, or several to choose from."""

    choices: list[ChatCompletionOutputComplete]
    created: int
    id: str
    model: str
    system_fingerprint: str
    usage: ChatCompletionOutputUsage


@dataclass(eq=False)
class ChatCompletionOutputComplete(BaseInferenceType):
    """One of the messages, and why it ended."""

    finish_reason: str
    index: int
    message: ChatCompletionOutputMessage
    logprobs: ChatCompletionOutputLogprobs | None = None


@dataclass(eq=False)
class ChatCompletionOutputFunctionDefinition(BaseInferenceType):
    """A function that is to be called, with its arguments as JSON."""

    arguments: str
    name: str
    description: str | None = None


@dataclass(eq=False)
class ChatCompletionOutputLogprob(BaseInferenceType):
    """A token of a message, and how likely it and its rivals were."""

    logprob: float
    token: str
    top_logprobs: list[ChatCompletionOutputTopLogprob]


@dataclass(eq=False)
class ChatCompletionOutputLogprobs(BaseInferenceType):
    """The tokens of a message, and how likely they were."""

    content: list[ChatCompletionOutputLogprob]


@dataclass(eq=False)
class ChatCompletionOutputMessage(BaseInferenceType):
    """A message of a chat."""

    role: str
    content: str | None = None
    reasoning: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[ChatCompletionOutputToolCall] | None = None


@dataclass(eq=False)
class ChatCompletionOutputToolCall(BaseInferenceType):
    """A wish to call a function."""

    function: ChatCompletionOutputFunctionDefinition
    id: str
    type: str


@dataclass(eq=False)
class ChatCompletionOutputTopLogprob(_Likely):
    """A token that might have come."""


@dataclass(eq=False)
class ChatCompletionOutputUsage(_Tokens):
    """How many tokens went in and came out."""


@dataclass(eq=False)
class ChatCompletionStreamOutput(BaseInferenceType):
    """A piece of a message as it is written."""

    choices: list[ChatCompletionStreamOutputChoice]
    created: int
    id: str
    model: str
    system_fingerprint: str
    usage: ChatCompletionStreamOutputUsage | None = None


@dataclass(eq=False)
class ChatCompletionStreamOutputChoice(BaseInferenceType):
    """A piece of one of the messages."""

    delta: ChatCompletionStreamOutputDelta
    index: int
    finish_reason: str | None = None
    logprobs: ChatCompletionStreamOutputLogprobs | None = None


@dataclass(eq=False)
class ChatCompletionStreamOutputDelta(BaseInferenceType):
    """What is new in a message."""

    role: str
    content: str | None = None
    reasoning: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[ChatCompletionStreamOutputDeltaToolCall] | None = None


@dataclass(eq=False)
class ChatCompletionStreamOutputDeltaToolCall(BaseInferenceType):
    """A piece of a wish to call a function."""

    function: ChatCompletionStreamOutputFunction
    id: str
    index: int
    type: str


@dataclass(eq=False)
class ChatCompletionStreamOutputFunction(BaseInferenceType):
    """A piece of the function that is to be called."""

    arguments: str
    name: str | None = None


@dataclass(eq=False)
class ChatCompletionStreamOutputLogprob(BaseInferenceType):
    """A token of a piece, and how likely it and its rivals were."""

    logprob: float
    token: str
    top_logprobs: list[ChatCompletionStreamOutputTopLogprob]


@dataclass(eq=False)
class ChatCompletionStreamOutputLogprobs(BaseInferenceType):
    """The tokens of a piece, and how likely they were."""

    content: list[ChatCompletionStreamOutputLogprob]


@dataclass(eq=False)
class ChatCompletionStreamOutputTopLogprob(_Likely):
    """A token that might have come."""


@dataclass(eq=False)
class ChatCompletionStreamOutputUsage(_Tokens):
    """How many tokens went in and came out so far."""


@dataclass(eq=False)
class TextGenerationOutput(BaseInferenceType):
    """How a text goes on."""

    generated_text: str
    details: TextGenerationOutputDetails | None = None


@dataclass(eq=False)
class TextGenerationOutputBestOfSequence(BaseInferenceType):
    """One of several ways in which a text may go on."""

    finish_reason: TextGenerationOutputFinishReason
    generated_text: str
    generated_tokens: int
    prefill: list[TextGenerationOutputPrefillToken]
    tokens: list[TextGenerationOutputToken]
    seed: int | None = None
    top_tokens: list[list[TextGenerationOutputToken]] | None = None


@dataclass(eq=False)
class TextGenerationOutputDetails(BaseInferenceType):
    """The tokens of a text, and why it ended."""

    finish_reason: TextGenerationOutputFinishReason
    generated_tokens: int
    prefill: list[TextGenerationOutputPrefillToken]
    tokens: list[TextGenerationOutputToken]
    best_of_sequences: list[TextGenerationOutputBestOfSequence] | None = None
    seed: int | None = None
    top_tokens: list[list[TextGenerationOutputToken]] | None = None


@dataclass(eq=False)
class TextGenerationOutputPrefillToken(BaseInferenceType):
    """A token of the prompt, and how likely it was."""

    id: int
    logprob: float
    text: str


@dataclass(eq=False)
class TextGenerationOutputToken(_Token):
    """A token of a text, and how likely it was."""


@dataclass(eq=False)
class TextGenerationStreamOutput(BaseInferenceType):
    """The next token of a text as it is written; the last brings the whole text."""

    index: int
    token: TextGenerationStreamOutputToken
    details: TextGenerationStreamOutputStreamDetails | None = None
    generated_text: str | None = None
    top_tokens: list[TextGenerationStreamOutputToken] | None = None


@dataclass(eq=False)
class TextGenerationStreamOutputStreamDetails(BaseInferenceType):
    """Why a text ended."""

    finish_reason: TextGenerationOutputFinishReason
    generated_tokens: int
    input_length: int
    seed: int | None = None


@dataclass(eq=False)
class TextGenerationStreamOutputToken(_Token):
    """A token of a text as it is written."""
