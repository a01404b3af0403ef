"""Models in JAX compute what they compute in torch: outputs, gradients, shared weights, padding, other lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as transformers
from framework_families import EVERYDAY, OTHERS, Family, batch, build

jax = pytest.importorskip("jax")
jnp = jax.numpy

from enfold.transformers.frameworks.jax import flax_class  # noqa: E402

ROWS = [*EVERYDAY, *(pytest.param(family, marks=pytest.mark.slow) for family in OTHERS)]
BERT = EVERYDAY[0]


def _torch(inputs: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in inputs.items()}


def _tensors(output: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in output.items() if hasattr(value, "shape")}


def _close(ours: Any, wanted: Any) -> None:
    found, expected = _tensors(ours), _tensors(jax.tree.map(lambda x: x.detach().numpy(), dict(wanted)))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("family", ROWS, ids=lambda family: family.name)
def test_outputs_are_torchs(family: Family) -> None:
    model = build(family)
    ours = flax_class(type(model))(model.config, torch_model=build(family))
    for rows, length in ((2, 5), (3, 8)):  # the second batch has another size and length than what was exported
        inputs = batch(family, rows, length)
        caching = {"use_cache": False} if "input_ids" in inputs and model.can_generate() else {}
        caching = {"use_cache": False} if "decoder_input_ids" in inputs else caching
        with torch.no_grad():
            wanted = model(**_torch(inputs), **caching)
        wanted = {name: value for name, value in wanted.items() if isinstance(value, torch.Tensor)}
        _close(ours(**inputs), wanted)


@pytest.fixture(scope="module")
def bert() -> Any:
    return transformers.FlaxBertForSequenceClassification(build(BERT).config, torch_model=build(BERT))


def test_gradients_are_torchs_and_jit_changes_nothing(bert: Any) -> None:
    inputs, labels = batch(BERT, 2, 6), np.array([1, 0])
    model = build(BERT)
    model(**_torch(inputs), labels=torch.from_numpy(labels)).loss.backward()

    def loss(params: Any) -> Any:
        return bert(**inputs, labels=labels, params=params).loss

    gradients = jax.jit(jax.grad(loss))(bert.params)
    table = gradients["bert"]["embeddings"]["word_embeddings"]["embedding"]
    np.testing.assert_allclose(table, model.bert.embeddings.word_embeddings.weight.grad.numpy(), atol=1e-6)
    query = gradients["bert"]["encoder"]["layer"]["0"]["attention"]["self"]["query"]["kernel"]
    own = model.bert.encoder.layer[0].attention.self.query.weight.grad.numpy()
    np.testing.assert_allclose(query, own.T, atol=1e-6)
    step = jax.jit(lambda params: bert.apply(params, **inputs))  # an output is a tree
    np.testing.assert_allclose(step(bert.params).logits, bert(**inputs).logits, atol=1e-6)


def test_one_row_and_one_token(bert: Any) -> None:
    inputs = {"input_ids": np.array([[7]]), "attention_mask": np.array([[1]])}
    with torch.no_grad():
        wanted = build(BERT)(**_torch(inputs))
    _close(bert(**inputs), {"logits": wanted.logits})


def test_shared_weights_are_one_leaf_with_one_gradient() -> None:
    family = EVERYDAY[1]
    model, ours = build(family), flax_class(transformers.GPT2LMHeadModel)
    ours = ours(model.config, torch_model=build(family))
    assert "lm_head" not in ours.params
    inputs = batch(family, 2, 4)
    model(**_torch(inputs), labels=torch.from_numpy(inputs["input_ids"])).loss.backward()
    gradients = jax.grad(lambda params: ours.apply(params, **inputs, labels=inputs["input_ids"]).loss)(ours.params)
    table = gradients["transformer"]["wte"]["embedding"]
    np.testing.assert_allclose(table, model.transformer.wte.weight.grad.numpy(), atol=1e-5)


def test_dropout_draws_from_the_key(bert: Any) -> None:
    inputs = batch(BERT, 2, 6)

    def logits(seed: int) -> Any:
        return bert(**inputs, train=True, dropout_rng=jax.random.key(seed)).logits

    assert np.array_equal(logits(0), logits(0))
    assert not np.array_equal(logits(0), logits(1))
    with pytest.raises(ValueError, match="dropout_rng"):
        bert(**inputs, train=True)
    out = bert.module.apply({"params": bert.params}, **inputs, deterministic=False, rngs={"dropout": jax.random.key(0)})
    assert np.array_equal(out.logits, logits(0))


def test_a_misspelt_argument_names_the_nearest(bert: Any) -> None:
    with pytest.raises(TypeError, match="did you mean 'attention_mask'"):
        bert(np.array([[1, 2]]), attention_maks=np.array([[1, 1]]))


def test_weights_are_drawn_from_the_seed_or_passed(bert: Any) -> None:
    kind = transformers.FlaxBertForSequenceClassification
    one, same, other = (kind(bert.config, seed=seed) for seed in (1, 1, 2))
    word = ("bert", "embeddings", "word_embeddings", "embedding")

    def leaf(tree: Any) -> Any:
        for name in word:
            tree = tree[name]
        return np.asarray(tree)

    assert np.array_equal(leaf(one.params), leaf(same.params))
    assert not np.array_equal(leaf(one.params), leaf(other.params))
    bare = kind(bert.config, _do_init=False)
    with pytest.raises(ValueError, match="init_weights"):
        bare(np.array([[1, 2]]))
    fresh = bare.init_weights(jax.random.key(3), (1, 1))
    assert jax.tree.structure(fresh) == jax.tree.structure(one.params)
    assert bare(np.array([[1, 2]]), params=fresh).logits.shape == (1, 2)
    with pytest.raises(ValueError, match="missing"):
        one.params = {"bert": {}}


def test_half_precision_computes_with_the_same_weights(bert: Any) -> None:
    inputs = batch(BERT, 2, 6)
    half = transformers.FlaxBertForSequenceClassification(bert.config, dtype=jnp.bfloat16, torch_model=build(BERT))
    assert half.params["classifier"]["kernel"].dtype == jnp.float32
    out = half(**inputs).logits
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(out, np.float32), bert(**inputs).logits, atol=2e-2)
    assert half.to_bf16(half.params)["classifier"]["kernel"].dtype == jnp.bfloat16


def test_files_go_both_ways(bert: Any, tmp_path: Any) -> None:
    inputs = batch(BERT, 2, 6)
    bert.save_pretrained(tmp_path)
    assert (tmp_path / "flax_model.msgpack").exists()
    again = transformers.FlaxAutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert np.array_equal(again(**inputs).logits, bert(**inputs).logits)
    model = transformers.BertForSequenceClassification.from_pretrained(tmp_path, from_flax=True)
    with torch.no_grad():
        _close(bert(**inputs), {"logits": model(**_torch(inputs)).logits})
    # the base model of the same file, and a folder of torch's
    base = transformers.FlaxBertModel.from_pretrained(tmp_path)
    assert base(**inputs).last_hidden_state.shape == (2, 6, 16)
    model.save_pretrained(tmp_path / "torch")
    third, params = transformers.FlaxBertForSequenceClassification.from_pretrained(
        tmp_path / "torch", from_pt=True, _do_init=False
    )
    assert np.array_equal(third(**inputs, params=params).logits, bert(**inputs).logits)


def test_text_is_continued_as_torch_does() -> None:
    family = EVERYDAY[1]
    model = build(family)
    ours = transformers.FlaxGPT2LMHeadModel(model.config, torch_model=build(family))
    ids = batch(family, 1, 4)["input_ids"]
    made = ours.generate(jnp.asarray(ids), max_new_tokens=3, do_sample=False, pad_token_id=0)
    wanted = model.generate(torch.from_numpy(ids), max_new_tokens=3, do_sample=False, pad_token_id=0)
    assert made.sequences.tolist() == wanted.tolist()


def test_running_statistics_are_returned_in_training() -> None:
    family = next(family for family in OTHERS if family.prefix == "ResNet")
    model = build(family)
    ours = transformers.FlaxResNetForImageClassification(model.config, torch_model=build(family))
    inputs = batch(family, 2, 0)
    _, changed = ours.module.apply(ours.params, **inputs, deterministic=False, mutable=["batch_stats"])
    model.train()(**_torch(inputs))
    mean = changed["batch_stats"]["resnet"]["embedder"]["embedder"]["normalization"]["mean"]
    np.testing.assert_allclose(mean, model.resnet.embedder.embedder.normalization.running_mean, atol=1e-6)
