"""Several tokens a step: guessed cheaply, checked together, and kept as far as the model would have chosen them.

Greedy search gives the tokens that it gives alone, and sampling draws from the model's own distribution.

Source: Leviathan et al., 2022, "Fast Inference from Transformers via Speculative Decoding"; prompt lookup: Saxena,
2023; the model's own first layers: Elhoushi et al., 2024, "LayerSkip".
"""

from __future__ import annotations

import copy
import inspect
from typing import Any, Protocol

import torch
from torch import Tensor

from enfold.nn.cache import DynamicCache, EncoderDecoderCache
from enfold.transformers.generation.config import GenerationConfig, GenerationError
from enfold.transformers.generation.loops import Run
from enfold.transformers.generation.pace import Pace
from enfold.transformers.generation.translated import Translator

__all__ = ["Assistant", "PromptLookup", "assisted", "first_layers", "guesser"]

Guess = tuple[Tensor, Tensor | None]  # tokens (n,), and how likely each word was in their places (n, V) or None


class Guesser(Protocol):
    """What guesses how a text goes on."""

    def guess(self, ids: Tensor, most: int) -> Guess:
        """Return up to ``most`` tokens that may follow ids (1, T)."""

    def learn(self, right: int, guessed: int) -> None:
        """Learn how many of the guessed tokens were right."""


class PromptLookup:
    """Guesses that a text goes on as it did the last time it said the same.

    Args:
        most: how many tokens it guesses at once.
        longest: how many of the last tokens it looks for, at first; then one less, and so on.
        ends: end tokens, behind which nothing is guessed; or None.

    Example:
        >>> PromptLookup(2).guess(torch.tensor([[5, 6, 7, 8, 5, 6]]), most=9)[0].tolist()
        [7, 8]
    """

    def __init__(self, most: int, longest: int = 2, ends: Tensor | None = None) -> None:
        if most <= 0 or longest <= 0:
            raise GenerationError("prompt_lookup_num_tokens and max_matching_ngram_size must be greater than 0")
        self.most, self.longest, self.ends = most, longest, ends

    def guess(self, ids: Tensor, most: int) -> Guess:
        """See the class."""
        row, length = ids[0], ids.shape[1]
        most = min(self.most, most)
        for size in range(min(self.longest, length - 1), 0, -1):
            windows = row.unfold(0, size, 1)  # (T - size + 1, size)
            places = (windows == row[-size:]).all(1).nonzero()[:, 0] + size
            places = places[places < length]
            if most > 0 and len(places):
                found = row[int(places[0]) : int(places[0]) + most]
                if self.ends is not None:
                    stop = torch.isin(found, self.ends).nonzero()
                    found = found[: int(stop[0])] if len(stop) else found
                return found, None
        return row[:0], None

    def learn(self, right: int, guessed: int) -> None:
        """Nothing is learnt."""


class Assistant:
    """A smaller model with the same words, which writes on for a few tokens.

    Args:
        run: its own call of ``generate``, set up beside the larger model's.
        threshold: it stops where it is less sure of a token than this.
        settings: its own configuration, which learns how many guesses are worth while, where the schedule says so.
    """

    def __init__(self, run: Run, threshold: float | None, settings: GenerationConfig) -> None:
        self.run, self.threshold, self.pace = run, threshold, Pace(run.config, settings)
        self.learn = self.pace.learn

    def guess(self, ids: Tensor, most: int) -> Guess:
        """See the class."""
        run, length = self.run, ids.shape[1]
        run.buffer[:, :length] = ids
        assert run.cache is not None
        run.cache.crop(min(int(run.cache.get_seq_length()), length - 1))  # the last token may be another now
        tokens, shares = [], []
        for place in range(length, length + min(self.pace.count, most)):
            scores = run.processors(run.buffer[:, :place], run.logits_at(place))
            share = scores.softmax(-1)
            token = torch.multinomial(share, 1)[:, 0] if run.config.do_sample else scores.argmax(-1)
            run.buffer[:, place] = token
            tokens.append(token)
            shares.append(share)
            unsure = self.threshold is not None and float(share[0, token]) < self.threshold
            if unsure or (run.ends is not None and bool(torch.isin(token, run.ends))):
                break
        if not tokens:
            return ids[0, :0], None
        return torch.cat(tokens), torch.cat(shares) if run.config.do_sample else None


def guesser(run: Run, assistant: Any, tokenizer: Any = None, assistant_tokenizer: Any = None) -> Guesser:
    """Return what guesses for a run: an assistant, the model's own first layers, or the text itself.

    Args:
        run: the larger model's call of ``generate``.
        assistant: the smaller model, or None.
        tokenizer, assistant_tokenizer: of both models, where their words differ.

    Raises:
        GenerationError: for what cannot be combined with it.
    """
    config = run.config
    if run.rows > 1:
        raise GenerationError("assisted decoding and prompt lookup write one row")
    if run.embeds is not None:
        raise GenerationError("assisted decoding and prompt lookup go on from ids, not from embeddings")
    if run.cache is None or run.fixed:
        raise GenerationError("assisted decoding and prompt lookup need use_cache=True and a cache that grows")
    if assistant is None and config.prompt_lookup_num_tokens is not None:
        return PromptLookup(config.prompt_lookup_num_tokens, config.max_matching_ngram_size or 2, run.ends)
    if config.guidance_scale not in (None, 1):
        raise GenerationError("guidance_scale and an assistant do not go together: each token is guided once")
    if assistant is None:
        assistant = first_layers(run.model, config.assistant_early_exit)
    settings = copy.copy(config)
    theirs: GenerationConfig = getattr(assistant, "generation_config", None) or GenerationConfig()
    for name in ("num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"):
        if getattr(theirs, name) is not None:
            setattr(settings, name, getattr(theirs, name))
    if tokenizer is not None and assistant_tokenizer is not None:
        return Translator(assistant, settings, tokenizer, assistant_tokenizer, Pace(settings, theirs))
    words, own = (model.config.get_text_config(decoder=True).vocab_size for model in (run.model, assistant))
    if words != own:
        raise GenerationError(
            f"the assistant has {own} words and the model {words}: pass tokenizer and assistant_tokenizer too, "
            "so that guesses are translated"
        )
    settings.output_attentions = settings.output_hidden_states = False
    extra, read = _heard(run, assistant)
    beside = Run(
        model=assistant,
        config=settings,
        ids=run.ids.to(assistant.device),
        embeds=None,
        mask=run.mask,
        positions=run.positions,
        cache=DynamicCache() if run.read is None else EncoderDecoderCache(DynamicCache()),
        extra=extra,
        processors=run.processors,
        criteria=None,
        ends=run.ends,
        pad=run.pad,
        read=read,
    )
    return Assistant(beside, settings.assistant_confidence_threshold, theirs)


def _heard(run: Run, assistant: Any) -> tuple[dict[str, Any], Any]:
    """Return the arguments with which an assistant hears what the model read, and what its encoder said, or None."""
    if run.read is None:
        if assistant.config.is_encoder_decoder:
            raise GenerationError("the assistant reads and writes, and the model only writes: it needs one alike")
        return {}, None
    if not assistant.config.is_encoder_decoder:
        # A decoder beside the same encoder, such as Whisper's, looks at the states that the model looks at.
        takes = inspect.signature(assistant.forward).parameters
        if "encoder_outputs" in takes:
            return {"encoder_outputs": run.read}, None
        if "encoder_hidden_states" not in takes:
            raise GenerationError(f"{type(assistant).__name__} looks at no encoder, as the model does")
        mask = run.extra.get("attention_mask")
        return {"encoder_hidden_states": run.read[0], "encoder_attention_mask": mask}, None
    if run.given is None:
        raise GenerationError("an assistant with an encoder of its own needs the inputs, not encoder_outputs")
    said = assistant.get_encoder()(**run.given, return_dict=True)
    mask = run.extra.get("attention_mask")
    return {"encoder_outputs": said, **({} if mask is None else {"attention_mask": mask})}, said


def first_layers(model: Any, count: int) -> Any:
    """Return a model of the first layers of another, which shares their weights.

    Args:
        model: a decoder.
        count: of layers, at least one and fewer than it has.

    Raises:
        GenerationError: for other numbers, and for models whose layers are no plain list.
    """
    total = model.config.get_text_config(decoder=True).num_hidden_layers
    if not isinstance(count, int) or not 0 < count < total:
        raise GenerationError(f"assistant_early_exit={count} must lie between 1 and {total - 1}, before the last layer")
    stacks = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == total
    ]
    if len(stacks) != 1 or model.config.is_encoder_decoder:
        raise GenerationError(f"{type(model).__name__} has no one list of layers to leave early")
    *parents, last = stacks[0].split(".")
    shallow = twin = _twin(model)
    for name in parents:
        twin._modules[name] = twin = _twin(twin._modules[name])
    twin._modules[last] = torch.nn.ModuleList(list(twin._modules[last])[:count])
    return shallow


def _twin(module: Any) -> Any:
    """Return a module with the same parameters whose parts can be exchanged without touching the other's."""
    twin = copy.copy(module)
    twin.__dict__["_modules"] = dict(module._modules)
    return twin


def assisted(run: Run, helper: Guesser) -> Any:
    """Greedy search and sampling of one row, several tokens a step where the helper's guesses are right."""
    config, buffer, cache = run.config, run.buffer, run.cache
    assert cache is not None
    record, length, over = config.return_dict_in_generate, run.prompt, False
    while not over:
        tokens, shares = helper.guess(buffer[:, :length], config.max_length - length - 1)
        tokens = tokens.to(buffer.device)
        filled = int(cache.get_seq_length())
        if filled and run.model.must_read_again(filled, length + len(tokens)):
            tokens = tokens[:0]  # a step in which the past changes checks no guesses
            if run.model.must_read_again(filled, length):
                cache.reset()
                filled = 0
        count = len(tokens)
        buffer[0, length : length + count] = tokens
        output = run.read_on(filled, length + count, keep=count + 1)
        run.record(output)
        logits = output.logits[:, -count - 1 :].float()  # (1, n + 1, V)
        right = 0
        for place in range(count + 1):
            scores = run.processors(buffer[:, :length], logits[:, place])
            guessed = tokens[place] if place < count else None
            token = _choose(config, scores, guessed, None if shares is None else shares[place : place + 1])
            buffer[0, length] = token
            length += 1
            if record and config.output_scores:
                run.scores.append(scores)
            if record and config.output_logits:
                run.logits.append(logits[:, place])
            if run.streamer is not None:
                run.streamer.put(token[None].cpu())
            over = length >= config.max_length or (
                bool(run.criteria) and bool(run.criteria(buffer[:, :length], tuple(run.scores) or None).all())
            )
            if over or guessed is None or bool(token != guessed):
                break
            right += 1
        cache.crop(length - 1)
        helper.learn(right, count)
    if run.streamer is not None:
        run.streamer.end()
    return run.output(buffer[:, :length].clone())


def _choose(config: GenerationConfig, scores: Tensor, guessed: Tensor | None, share: Tensor | None) -> Tensor:
    """Return the next token: the guess where it is one that the model would have chosen, too.

    Args:
        config: whether to draw.
        scores: (1, V) of the model.
        guessed: the guess, or None.
        share: (1, V), how likely each word was where it was guessed by drawing; or None.
    """
    if not config.do_sample:
        return scores.argmax(-1)[0]
    chance = scores.softmax(-1)
    if guessed is None or share is None:
        return torch.multinomial(chance, 1)[0, 0]
    share = share.to(chance.device)
    # A guess that was drawn more often than the model would have is dropped as often, and what is missing is drawn.
    if torch.rand(()) * share[0, guessed] <= chance[0, guessed]:
        return guessed
    rest = (chance - share).clamp(min=0)
    return torch.multinomial(rest if bool(rest.sum() > 0) else chance, 1)[0, 0]
