"""Attention by name: the implementations agree, users bring their own, and what is not there is said."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import enfold.transformers as tf
from enfold.nn import attend, causal_mask
from enfold.nn.flex import flex_attend
from enfold.transformers.attentions import AttentionError, sdpa_attention_forward
from parity.architectures import decoders, decoders_more, encoders, first, seq2seq, two_towers, vision
from parity.architectures.harness import Case, build, results

# a causal model without and with shared keys, soft caps and windows; encoders with masks and with added scores;
# encoder-decoders with and without added scores; towers; images
TRIED: dict[str, Case] = {
    "gpt2": first.CASES["gpt2-causal"],
    "llama": first.CASES["llama-causal"],
    "gemma2": decoders_more.CASES["gemma2-causal"],
    # a window of padding alone is nobody's row
    "mistral": decoders.CASES["mistral-causal"]._replace(paddings=("", "left")),
    "bert": first.CASES["bert"],
    "mpnet": encoders.CASES["mpnet-model"],
    "t5": seq2seq.CASES["t5"],
    "bart": seq2seq.CASES["bart"],
    "clip": two_towers.CASES["clip"],
    "vit": vision.CASES["vit"],
}


@torch.no_grad()
@pytest.mark.parametrize("name", TRIED)
def test_every_implementation_gives_the_same_numbers(name: str) -> None:
    case = TRIED[name]._replace(gradients=False)
    model = build(tf, case, attn_implementation="sdpa")
    expected = results(model, case, explicit=False)
    for implementation in ("eager", "flex_attention"):
        model.set_attn_implementation(implementation)
        found = results(model, case, explicit=False)
        assert found.keys() == expected.keys()
        for key, value in found.items():
            if key != "left-plain/loss":  # it reads what follows the last token of padding, which is nobody's
                np.testing.assert_allclose(value, expected[key], rtol=1e-5, atol=1e-5, err_msg=key)


@torch.no_grad()
def test_flex_attends_in_pieces_of_any_length() -> None:
    torch.manual_seed(0)
    for past in range(6):
        for length in (1, 2, 5):
            query, key, value = (torch.randn(2, heads, past * n + length, 8) for heads, n in ((4, 0), (2, 1), (2, 1)))
            real = torch.ones(2, past + length)
            real[1, :past] = 0
            mask, causal = causal_mask(real, length, past)
            found, weights = flex_attend(query, key, value, mask, causal=causal, softcap=3.0, scale=0.7)
            expected, _ = attend(query, key, value, mask, causal=causal, softcap=3.0, scale=0.7)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
            assert weights is None


def test_training_on_a_processor_under_flex_goes_through_the_fused_attention() -> None:
    models = [build(tf, TRIED["llama"], attn_implementation=name) for name in ("sdpa", "flex_attention")]
    gradients = []
    for model in models:
        model.train()(**TRIED["llama"].inputs("right")).loss.backward()
        gradients.append({name: part.grad for name, part in model.named_parameters()})
    torch.testing.assert_close(gradients[1], gradients[0])


def test_attention_weights_are_there_under_every_name() -> None:
    case = TRIED["llama"]
    given = case.inputs("left")
    seen = [
        build(tf, case, attn_implementation=name)(**given, output_attentions=True).attentions
        for name in ("sdpa", "eager", "flex_attention")
    ]
    torch.testing.assert_close(seen[1], seen[0])
    torch.testing.assert_close(seen[2], seen[0])


@pytest.fixture
def loud() -> Any:
    calls: list[Any] = []

    def function(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any) -> Any:
        calls.append((module, tuple(query.shape), tuple(key.shape), None if mask is None else mask.dtype, options))
        return sdpa_attention_forward(module, query, key, value, mask, **options)[0], torch.ones(1)

    tf.AttentionInterface.register("loud", function)
    yield calls
    del tf.AttentionInterface._global_mapping["loud"]


def test_a_registered_function_attends(loud: list[Any], tmp_path: Path) -> None:
    case = TRIED["llama"]
    build(tf, case).save_pretrained(tmp_path)
    model = tf.LlamaForCausalLM.from_pretrained(tmp_path, attn_implementation="loud")
    plain = tf.LlamaForCausalLM.from_pretrained(tmp_path)
    for padding in ("", "right"):
        given = case.inputs(padding)
        torch.testing.assert_close(model(**given).logits, plain(**given).logits)
    module, query, key, kind, options = loud[0]
    assert module.is_causal and module.num_key_value_groups == 2 and not module.training
    assert (query, key, kind) == ((3, 4, 9, 8), (3, 2, 9, 8), None)
    assert options == {"scaling": 8**-0.5, "dropout": 0.0}
    assert loud[-1][3] is torch.bool
    assert len(loud) == 2 * len(model.model.layers)
    assert model(**given, output_attentions=True).attentions[0].tolist() == [1.0]  # its own weights
    assert model.generate(given["input_ids"], max_new_tokens=2, do_sample=False).shape == (3, 11)


def test_an_interface_may_have_names_of_its_own(loud: list[Any]) -> None:
    mine = tf.AttentionInterface()
    mine["quiet"] = sdpa_attention_forward
    assert "quiet" in mine and "quiet" not in tf.ALL_ATTENTION_FUNCTIONS
    assert {"eager", "sdpa", "flex_attention", "flash_attention_2", "loud", "quiet"} == set(mine.valid_keys())
    del mine["quiet"]
    assert len(mine) == len(tf.ALL_ATTENTION_FUNCTIONS) == 5
    assert mine.get_interface(None, len) is len


def test_parts_attend_as_they_are_told(tmp_path: Path) -> None:
    case = TRIED["clip"]
    build(tf, case).save_pretrained(tmp_path)
    model = tf.CLIPModel.from_pretrained(tmp_path, attn_implementation={"vision_config": "eager"})
    assert model.config.vision_config._attn_implementation == "eager"
    assert model.vision_model.config._attn_implementation == "eager"
    assert model.text_model.config._attn_implementation == "sdpa"
    model.set_attn_implementation({"text_config": "flex_attention", "": "eager"})
    assert model.config._attn_implementation == "eager"
    assert model.text_model.config._attn_implementation == "flex_attention"
    assert model.vision_model.config._attn_implementation == "eager"
    model.set_attn_implementation("sdpa")
    assert {part.config._attn_implementation for part in model._models()} == {"sdpa"}
    with pytest.raises(AttentionError, match=r"CLIPConfig has no part 'vison_config'; did you mean 'vision_config'\?"):
        model.set_attn_implementation({"text_config": "eager", "vison_config": "eager"})
    assert model.text_model.config._attn_implementation == "sdpa"  # nothing half done


def test_a_configuration_says_how_its_model_attends(tmp_path: Path) -> None:
    made = tf.BertModel(tiny := tf.BertConfig(8, 8, 1, 2, 8))
    assert tiny._attn_implementation == made.config._attn_implementation == "sdpa"
    made.save_pretrained(tmp_path)
    assert "attn" not in (tmp_path / "config.json").read_text()
    assert tf.AutoConfig.from_pretrained(tmp_path)._attn_implementation is None  # before there is a model
    assert tf.AutoModel.from_pretrained(tmp_path).config._attn_implementation == "sdpa"
    for asked in ({"attn_implementation": "eager"}, {"config": tf.BertConfig.from_dict(tiny.to_dict())}):
        config = asked.get("config")
        if config is not None:
            config._attn_implementation = "eager"
        assert tf.AutoModel.from_pretrained(tmp_path, **asked).config._attn_implementation == "eager"
    assert tf.AutoModel.from_config(tiny, attn_implementation="eager").config._attn_implementation == "eager"
    assert tiny._attn_implementation == "sdpa"  # from_config leaves the configuration that it is given
    stages = {"embedding_size": 8, "hidden_sizes": [8], "depths": [1], "layer_type": "basic"}
    assert tf.ResNetModel(tf.ResNetConfig(**stages)).config._attn_implementation == "eager"  # it does not attend


def test_a_class_that_does_not_name_the_fused_attention_attends_explicitly() -> None:
    class Mine(tf.PreTrainedModel):  # type: ignore[misc]
        config_class = tf.BertConfig

    class Fused(Mine):
        _supports_sdpa = True

    said = [kind(tf.BertConfig(8, 8, 1, 2, 8)).config._attn_implementation for kind in (Mine, Fused)]
    assert said == ["eager", "sdpa"]


def test_a_configuration_of_parts_takes_a_name_for_each() -> None:
    config = tf.CLIPConfig(attn_implementation={"vision_config": "eager", "": "sdpa"})
    said = [part._attn_implementation for part in (config, config.text_config, config.vision_config)]
    assert said == ["sdpa", None, "eager"]
    config = tf.CLIPConfig(text_config={"hidden_size": 8}, attn_implementation="eager")
    assert config.text_config._attn_implementation == config.vision_config._attn_implementation == "eager"


def test_copies_of_a_configuration_follow_it() -> None:
    model = build(tf, TRIED["t5"], attn_implementation="eager")
    assert {part.config._attn_implementation for part in model._models()} == {"eager"}
    model.set_attn_implementation({"": "sdpa"})
    assert {part.config._attn_implementation for part in model._models()} == {"sdpa"}


def test_an_unknown_name_is_an_error_with_the_nearest(tmp_path: Path) -> None:
    model = build(tf, TRIED["llama"])
    model.save_pretrained(tmp_path)
    said = r"no attention is named 'flex_atention'; did you mean 'flex_attention'\?; there are eager, sdpa, "
    with pytest.raises(AttentionError, match=said):
        tf.AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="flex_atention")
    with pytest.raises(ValueError, match=said):
        tf.AutoModelForCausalLM.from_config(model.config, attn_implementation="flex_atention")
    with pytest.raises(ValueError, match=said):
        model.set_attn_implementation("flex_atention")
    model.config._attn_implementation = "flex_atention"
    with pytest.raises(ValueError, match=said):
        model(torch.tensor([[1]]))


def test_flash_attention_needs_its_package() -> None:
    said = "needs the package flash-attn, which is not installed; 'sdpa' runs torch's own flash attention"
    with pytest.raises(AttentionError, match=said):
        build(tf, TRIED["llama"], attn_implementation="flash_attention_2")


def test_flash_attention_is_called_where_nothing_is_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    def flash_attn_func(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        called.append(options)
        turned = [x.transpose(1, 2) for x in (q, k, v)]
        out, _ = attend(*turned, causal=options["causal"], scale=options["softmax_scale"])
        return out.transpose(1, 2)

    package = ModuleType("flash_attn")
    package.__spec__ = type(sys.__spec__)("flash_attn", None)  # type: ignore[call-arg]
    package.flash_attn_func = flash_attn_func  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    case = TRIED["llama"]
    flash, plain = (build(tf, case, attn_implementation=name) for name in ("flash_attention_2", "sdpa"))
    for padding, calls in (("", 2), ("right", 2)):
        given = case.inputs(padding)
        torch.testing.assert_close(flash(**given).logits, plain(**given).logits)
        assert len(called) == calls
    assert called[0] == {"dropout_p": 0.0, "softmax_scale": None, "causal": True, "softcap": 0.0}
