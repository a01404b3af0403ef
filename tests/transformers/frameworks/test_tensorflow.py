"""Models in TensorFlow compute what the torch models do, learn with Keras, and are served without this package."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as et
from enfold.errors import EnfoldError

from .tensorflow_rows import EVERYDAY, SLOW, TEXT, batch

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")


def drawn(name: str, config: dict[str, Any]) -> Any:
    """A torch model with weights large enough that a mistake shows."""
    torch.manual_seed(0)
    kind = getattr(et, name)
    model = kind(kind.config_class(**config)).eval()
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, 0, 0.2)
    return model


def given(tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {name: tf.constant(tensor.numpy()) for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("name", "config", "kind"),
    [*EVERYDAY, *(pytest.param(*row, marks=pytest.mark.slow) for row in SLOW)],
    ids=[row[0] for row in [*EVERYDAY, *SLOW]],
)
def test_outputs_losses_and_gradients_are_torchs(name: str, config: dict[str, Any], kind: str) -> None:
    model = drawn(name, config)
    ours = getattr(et, f"TF{name}")(model.config, torch_model=copy.deepcopy(model))
    for rows, length in ((2, 6), (3, 7)):
        inputs = batch(kind, rows, length)
        with torch.no_grad():
            wanted = model(**inputs)
        found = ours(given(inputs))
        for field, tensor in wanted.items():
            if isinstance(tensor, torch.Tensor):
                np.testing.assert_allclose(found[field], tensor, atol=1e-5, err_msg=field)
    assert len(ours.programs._known) == 1  # one program, one trace, for both sizes
    if "loss" not in wanted:
        return
    model(**inputs).loss.backward()
    with tf.GradientTape() as tape:
        loss = ours(given(inputs)).loss
    trained = {key: one for key, one in ours.variables_of.items() if one.trainable}
    for (key, _), slope in zip(trained.items(), tape.gradient(loss, list(trained.values())), strict=True):
        wanted_slope = model.get_parameter(key).grad
        if slope is None or wanted_slope is None:
            assert slope is None or not np.any(tf.convert_to_tensor(slope)), key
            assert wanted_slope is None or not wanted_slope.any(), key
        else:
            np.testing.assert_allclose(tf.convert_to_tensor(slope), wanted_slope, atol=1e-5, err_msg=key)


@pytest.fixture(scope="module")
def bert() -> Any:
    keras.utils.set_random_seed(0)
    return et.TFBertForSequenceClassification(drawn("BertForSequenceClassification", TEXT).config)


IDS = np.array([[3, 4, 5, 6], [7, 8, 9, 10]])


def test_a_call_takes_what_people_give(bert: Any) -> None:
    wanted = bert({"input_ids": IDS, "attention_mask": np.ones_like(IDS)}).logits
    tokens = et.BatchEncoding({"input_ids": IDS.tolist(), "attention_mask": np.ones_like(IDS)}, tensor_type="tf")
    assert tokens["input_ids"].dtype == tf.int32 and tokens["attention_mask"].dtype == tf.int32
    for found in (
        bert(tokens).logits,
        bert(**tokens)["logits"],
        bert(tokens["input_ids"], tokens["attention_mask"])[0],
        bert([tokens["input_ids"], tokens["attention_mask"]]).logits,
        bert(tokens, return_dict=False)[0],
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    with pytest.raises(TypeError, match="attention_mask"):
        bert(tokens["input_ids"], attention_maks=1)


def test_parts_show_and_freeze(bert: Any) -> None:
    assert [layer.name for layer in bert.layers] == ["bert", "classifier"]
    assert bert.num_parameters() == bert.count_params() == bert.to_torch().num_parameters()
    bert.bert.trainable = False
    try:
        assert [one.name for one in bert.trainable_variables] == ["weight", "bias"]
    finally:
        bert.bert.trainable = True


def test_keras_trains_and_torch_loads_it(bert: Any, tmp_path: Path) -> None:
    data = {"input_ids": np.tile(IDS, (4, 1)), "labels": np.array([0, 1] * 4)}
    bert.compile(optimizer=keras.optimizers.Adam(5e-2), metrics=["accuracy"])
    told = bert.fit(data, epochs=3, batch_size=3, verbose=0).history
    assert told["loss"][-1] < told["loss"][0] and set(told) == {"loss", "accuracy"}
    logits = bert.predict({"input_ids": data["input_ids"]}, batch_size=3, verbose=0).logits
    assert logits.shape == (8, 2)
    bert.save_pretrained(tmp_path)
    with torch.no_grad():
        wanted = et.AutoModelForSequenceClassification.from_pretrained(tmp_path)(torch.from_numpy(IDS)).logits
    np.testing.assert_allclose(logits[:2], wanted, atol=1e-5)
    again = et.TFAutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(again).__name__ == "TFBertForSequenceClassification"
    for one, other in zip(bert.variables, again.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_files_of_tensorflow_are_read_and_written(bert: Any, tmp_path: Path) -> None:
    bert.save_pretrained(tmp_path, safe_serialization=False)
    assert (tmp_path / "tf_model.h5").exists() and not (tmp_path / "model.safetensors").exists()
    again = et.TFBertForSequenceClassification.from_pretrained(tmp_path)
    for one, other in zip(bert.variables, again.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    base = et.TFAutoModel.from_pretrained(tmp_path, from_tf=True)
    np.testing.assert_array_equal(
        base.get_input_embeddings(), bert.variables_of["bert.embeddings.word_embeddings.weight"]
    )


def test_embeddings_grow(tmp_path: Path) -> None:
    model = et.TFGPT2LMHeadModel(et.GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2, n_positions=16))
    before = np.array(model.get_input_embeddings())
    grown = model.resize_token_embeddings(12)
    assert grown.shape == (12, 8) and model.config.vocab_size == 12
    np.testing.assert_array_equal(np.array(grown)[:9], before)
    assert len(model.variables) == len(model.variables_of)
    made = model.generate(tf.constant([[1, 2]]), max_new_tokens=3, do_sample=False)
    assert made.dtype == tf.int32 and made.shape == (1, 5)


@pytest.mark.slow
def test_a_loss_of_yours_and_data_sets(bert: Any) -> None:
    data = et_dataset()
    bert.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = bert.prepare_tf_dataset(data, batch_size=4, shuffle=False)
    inputs, labels = next(iter(batches))
    assert set(inputs) == {"input_ids", "attention_mask"} and labels.shape == (4,)
    bert.fit(batches, verbose=0)
    loss = bert.evaluate(batches, verbose=0)
    bert.compile(optimizer="adam")  # the model's own loss: the same number
    assert bert.evaluate(batches, verbose=0) == pytest.approx(loss, abs=1e-5)


def et_dataset() -> Any:
    from enfold.datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": np.tile(IDS, (4, 1)).tolist(),
            "attention_mask": np.ones((8, 4), int).tolist(),
            "label": [0, 1] * 4,
            "text": ["x"] * 8,
        }
    )


@pytest.mark.slow
def test_a_batch_without_labels_is_told(bert: Any) -> None:
    bert.compile(optimizer="adam")
    with pytest.raises(EnfoldError, match="labels"):
        bert.train_step({"input_ids": tf.constant(IDS)})


@pytest.mark.slow
def test_one_function_serves_all_sizes(bert: Any) -> None:
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
    def logits(ids: Any) -> Any:
        traces.append(1)
        return bert(ids).logits

    for ids in (IDS, IDS[:, :3], np.tile(IDS, (2, 2))):
        np.testing.assert_allclose(logits(tf.constant(ids, tf.int32)), bert(ids).logits, atol=1e-6)
    assert len(traces) == 1


@pytest.mark.slow
def test_a_model_is_part_of_another(bert: Any) -> None:
    ids = keras.Input((None,), dtype="int32", name="input_ids")
    whole = keras.Model(ids, keras.layers.Dense(3)(bert(ids).logits))
    assert whole.predict(IDS, verbose=0).shape == (2, 3)
    assert len(whole.trainable_variables) == len(bert.trainable_variables) + 2


@pytest.mark.slow
def test_dropout_and_running_means_in_training() -> None:
    model = et.TFResNetForImageClassification(et.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]))
    before = np.array(model.variables_of["resnet.embedder.embedder.normalization.running_mean"])
    model({"pixel_values": np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype("float32")}, training=True)
    after = np.array(model.variables_of["resnet.embedder.embedder.normalization.running_mean"])
    assert not np.array_equal(before, after)
    bert = et.TFBertModel(et.BertConfig(**TEXT))
    one, other = (bert(IDS, training=True).last_hidden_state for _ in range(2))
    assert not np.allclose(one, other)


@pytest.mark.slow
def test_a_saved_model_is_served_without_this_package(bert: Any, tmp_path: Path) -> None:
    bert.export(tmp_path / "exported")
    tf.saved_model.save(bert, str(tmp_path / "saved"))
    code = (
        "import sys, json, tensorflow as tf\n"
        "ids = tf.constant(json.loads(sys.argv[2]))\n"
        "for folder in ('exported', 'saved'):\n"
        "    serve = tf.saved_model.load(f'{sys.argv[1]}/{folder}').signatures['serving_default']\n"
        "    print(json.dumps(serve(input_ids=ids, attention_mask=tf.ones_like(ids))['logits'].numpy().tolist()))\n"
        "assert not {'enfold', 'torch'} & set(sys.modules)\n"
    )
    import json

    command = [sys.executable, "-c", code, str(tmp_path), json.dumps(IDS.tolist())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for line in done.stdout.splitlines():
        np.testing.assert_allclose(json.loads(line), bert(IDS).logits, atol=1e-5)


@pytest.mark.slow
def test_collators_make_tensors_of_tensorflow() -> None:
    from types import SimpleNamespace

    tokenizer = SimpleNamespace(pad_token_id=0, padding_side="right", model_input_names=["input_ids"])
    rows = [{"input_ids": [1, 2], "label": 0}, {"input_ids": [3], "label": 1}]
    made = et.DataCollatorWithPadding(tokenizer, return_tensors="tf")(rows)
    assert made["input_ids"].dtype == tf.int32 and made["input_ids"].numpy().tolist() == [[1, 2], [3, 0]]
    assert made["labels"].numpy().tolist() == [0, 1]
    pairs = [{"input_ids": [1], "labels": [4, 5]}, {"input_ids": [3], "labels": [6]}]
    both = et.DataCollatorForSeq2Seq(tokenizer, return_tensors="tf")(pairs)
    assert tf.is_tensor(both["labels"]) and both["labels"].numpy().tolist() == [[4, 5], [6, -100]]


def test_the_optimizer_warms_up_and_spares_norms() -> None:
    optimizer, schedule = et.create_optimizer(1.0, 10, 4, weight_decay_rate=0.1, min_lr_ratio=0.5)
    rates = [float(schedule(step)) for step in (0, 2, 4, 7, 10, 20)]
    assert rates == pytest.approx([0, 0.5, 1, 0.75, 0.5, 0.5])
    weight, norm = (keras.Variable(np.ones(2, "float32"), name=name) for name in ("dense.weight", "LayerNorm.weight"))
    optimizer.build([weight, norm])
    optimizer.iterations.assign(4)
    optimizer.apply([tf.zeros(2), tf.zeros(2)])
    np.testing.assert_allclose(weight, [0.9, 0.9], rtol=1e-6)
    np.testing.assert_allclose(norm, [1, 1])


@pytest.mark.slow
def test_metrics_of_a_whole_data_set(bert: Any) -> None:
    seen = []

    def metric(pair: Any) -> dict[str, float]:
        seen.append((pair[0].shape, pair[1].shape))
        return {"share": float((pair[0].argmax(-1) == pair[1]).mean())}

    batches = bert.prepare_tf_dataset(et_dataset(), batch_size=3, shuffle=False)
    bert.compile(optimizer="adam")
    told = bert.fit(batches, epochs=1, verbose=0, callbacks=[et.KerasMetricCallback(metric, batches)]).history
    assert seen == [((8, 2), (8,))] and 0 <= told["share"][0] <= 1
