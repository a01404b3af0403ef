"""Models through a Hub: pushed, found by name, found by a pipeline's arguments, and missing with a clear word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import enfold.transformers as tf
from enfold.hub import HfApi
from enfold.hubserver import EmbeddedHub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty Hub that everything here talks to."""
    with EmbeddedHub(tmp_path / "hub") as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        monkeypatch.setenv("HF_TOKEN", running.token)
        yield running


def test_a_pushed_model_is_found_by_its_name(hub: Any) -> None:
    config = tf.GPT2Config(vocab_size=30, n_embd=8, n_layer=1, n_head=2, n_positions=16)
    model = tf.GPT2LMHeadModel(config).eval()
    model.generation_config.max_new_tokens = 3
    model.push_to_hub("someone/tiny", max_shard_size="1KB")
    again = tf.AutoModelForCausalLM.from_pretrained("someone/tiny")
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(again(ids).logits, model(ids).logits) and again.generation_config.max_new_tokens == 3
    assert again.config.name_or_path == "someone/tiny"
    assert tf.AutoConfig.from_pretrained("someone/tiny", revision="main").n_embd == 8
    assert tf.GenerationConfig.from_pretrained("someone/tiny").max_new_tokens == 3
    offline = tf.AutoModelForCausalLM.from_pretrained("someone/tiny", local_files_only=True)
    assert torch.equal(offline(ids).logits, model(ids).logits)


def test_a_subfolder_and_a_configuration_of_their_own_can_be_pushed(hub: Any, tmp_path: Path) -> None:
    tf.BertConfig(hidden_size=12).push_to_hub("someone/numbers")
    assert tf.AutoConfig.from_pretrained("someone/numbers").hidden_size == 12
    model = tf.BertModel(tf.BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2))
    model.save_pretrained(tmp_path / "folder" / "inner")
    again = tf.BertModel.from_pretrained(tmp_path / "folder", subfolder="inner")
    assert torch.equal(again.pooler.dense.weight, model.pooler.dense.weight)


def test_a_model_comes_from_the_branch_the_folder_and_the_cache_that_are_asked_for(hub: Any, tmp_path: Path) -> None:
    def made(seed: int) -> Any:
        torch.manual_seed(seed)
        return tf.BertModel(tf.BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2))

    api, (main, other, inner) = HfApi(), map(made, (1, 2, 3))
    main.push_to_hub("someone/places")
    api.create_branch("someone/places", branch="other")
    other.push_to_hub("someone/places", revision="other")
    inner.save_pretrained(tmp_path / "inner", variant="fp16")
    api.upload_folder(repo_id="someone/places", folder_path=tmp_path / "inner", path_in_repo="deep/inner")
    first = api.list_repo_commits("someone/places")[-1].commit_id
    for asked, model in (
        ({}, main),
        ({"revision": "other"}, other),
        ({"revision": api.repo_info("someone/places", revision="other").sha}, other),
        ({"subfolder": "deep/inner", "variant": "fp16"}, inner),
    ):
        cache = tmp_path / f"cache-{len(asked)}-{asked.get('revision')}"
        for kind in (tf.BertModel, tf.AutoModel):
            again = kind.from_pretrained("someone/places", cache_dir=cache, **asked)
            assert torch.equal(again.pooler.dense.weight, model.pooler.dense.weight)
        assert [place.name for place in cache.glob("models--*")] == ["models--someone--places"]
    with pytest.raises(OSError, match="someone/places"):
        tf.AutoModel.from_pretrained("someone/places", revision=first, cache_dir=tmp_path / "early")
    with pytest.raises(OSError, match="fp8"):
        tf.AutoModel.from_pretrained("someone/places", variant="fp8", cache_dir=tmp_path / "absent")


def test_a_model_that_is_not_there_is_an_os_error_that_names_it(hub: Any) -> None:
    with pytest.raises(OSError, match="someone/absent"):
        tf.AutoModel.from_pretrained("someone/absent")
