"""Every cache by its name in ``generate``, and in pieces at random points: the same tokens."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

import enfold.transformers as tf
from enfold.transformers.generation.config import GenerationError

IDS = torch.randint(3, 24, (2, 9), generator=torch.Generator().manual_seed(3))
MASK = torch.tensor([[1] * 9, [0] * 3 + [1] * 6])
EXACT = ("dynamic", "dynamic_full", "offloaded", "static", "offloaded_static", "sliding_window", "hybrid")


def made(window: int | None, **changed: Any) -> Any:
    torch.manual_seed(0)
    config = tf.MistralConfig(
        vocab_size=24,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=24,
        initializer_range=0.5,
        eos_token_id=2,
        pad_token_id=1,
        sliding_window=window,
        **changed,
    )
    return tf.MistralForCausalLM(config).eval()


@pytest.fixture(scope="module", params=[None, 4])
def model(request: pytest.FixtureRequest) -> Any:
    return made(request.param)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", EXACT)
def test_every_cache_gives_the_same_tokens(model: Any, name: str, beams: int) -> None:
    options = {"max_new_tokens": 12, "num_beams": beams, "attention_mask": MASK, "disable_compile": True}
    plain = model.generate(IDS, use_cache=False, **options)
    assert torch.equal(model.generate(IDS, cache_implementation=name, **options), plain)


@pytest.mark.parametrize("options", [{}, {"nbits": 8, "residual_length": 1}, {"nbits": 4, "q_group_size": 4}])
def test_a_cache_in_few_bits_writes_nearly_what_an_exact_one_does(model: Any, options: dict[str, Any]) -> None:
    shared: dict[str, Any] = {"max_new_tokens": 12, "attention_mask": MASK, "eos_token_id": None}
    shared |= {"return_dict_in_generate": True, "output_logits": True}
    plain = model.generate(IDS, cache_implementation="dynamic_full", **shared)
    found = model.generate(IDS, cache_implementation="quantized", cache_config=options, **shared)
    assert isinstance(found.past_key_values, tf.QuantizedCache)
    if options:
        assert found.past_key_values.layers[0].rounded > 0 or options["nbits"] == 4
    same = int((found.sequences == plain.sequences).all(0).int().cumprod(0).sum())
    assert same >= 13
    for mine, theirs in zip(found.logits[:3], plain.logits[:3], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0.1, atol=0.6)


@pytest.mark.parametrize("kind", ["DynamicCache", "OffloadedCache", "StaticCache", "OffloadedStaticCache"])
@pytest.mark.parametrize("seed", range(3))
def test_a_text_read_in_random_pieces_is_the_same_text(model: Any, kind: str, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, 24, (2, 17), generator=draw)
    mask = torch.ones_like(ids)
    mask[1, : int(torch.randint(0, 5, (), generator=draw))] = 0
    places = (mask.cumsum(1) - 1).clamp(min=0)
    whole = model(ids, attention_mask=mask, position_ids=places, use_cache=False).logits
    made_of = getattr(tf, kind)
    cache = made_of(model.config, max_cache_len=20) if "Static" in kind else made_of(config=model.config)
    cuts = sorted({0, 17, *torch.randint(1, 17, (4,), generator=draw).tolist()})
    parts = []
    for start, end in pairwise(cuts):
        output = model(
            ids[:, start:end],
            attention_mask=mask[:, :end],
            position_ids=places[:, start:end],
            past_key_values=cache,
        )
        parts.append(output.logits)
    real = mask.bool()
    torch.testing.assert_close(torch.cat(parts, 1)[real], whole[real], rtol=1e-4, atol=5e-5)
    assert int(cache.get_seq_length()) == 17


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_models_that_read_write_the_same_with_every_cache(name: str) -> None:
    torch.manual_seed(1)
    if name == "t5":
        shape = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
        model: Any = tf.T5ForConditionalGeneration(tf.T5Config(vocab_size=24, **shape)).eval()
    else:
        sides = {f"{side}_{part}": 2 for side in ("encoder", "decoder") for part in ("layers", "attention_heads")}
        sizes = {"d_model": 16, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "init_std": 0.5}
        model = tf.BartForConditionalGeneration(tf.BartConfig(vocab_size=24, **sides, **sizes)).eval()
    plain = model.generate(IDS, max_new_tokens=10)
    for name in ("offloaded", "offloaded_static", "static"):
        found = model.generate(IDS, max_new_tokens=10, cache_implementation=name, disable_compile=True)
        assert torch.equal(found, plain)


@pytest.mark.parametrize("options", [{}, {"eos_token_id": [4, 5, 6]}, {"do_sample": True, "num_return_sequences": 2}])
def test_pages_are_a_cache_too(model: Any, options: dict[str, Any]) -> None:
    shared = {"max_new_tokens": 12, "attention_mask": MASK, **options}
    ids = IDS * MASK + (1 - MASK)
    found = model.generate(ids, cache_implementation="paged", **shared)
    if "do_sample" in options:
        assert found.shape[0] == 4 and torch.equal(found[:, :9], ids.repeat_interleave(2, 0))
    else:
        assert torch.equal(found, model.generate(ids, **shared))
    with pytest.raises(GenerationError, match="from ids alone"):
        embeds = model.get_input_embeddings()(ids)
        model.generate(inputs_embeds=embeds, cache_implementation="paged", max_new_tokens=3)


def test_settings_that_a_cache_does_not_have_are_named() -> None:
    model = made(None)
    with pytest.raises(GenerationError, match="did you mean 'nbits'"):
        model.generate(IDS, cache_implementation="quantized", cache_config={"nbit": 4})
    with pytest.raises(GenerationError, match="cache_implementation='quantized'"):
        model.generate(IDS, cache_config={"nbits": 4})
    with pytest.raises(GenerationError, match="did you mean 'quantized'"):
        model.generate(IDS, cache_implementation="quantised")
