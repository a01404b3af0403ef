"""Programs: what is exported, how long it lasts, and what a missing operation says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.transformers import BertConfig, BertForMaskedLM
from enfold.transformers.frameworks.graph import Program, Programs, Spec, aliases, leaves, run

SIZES = {"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


@pytest.fixture(scope="module")
def programs() -> Programs:
    torch.manual_seed(0)
    return Programs(BertForMaskedLM(BertConfig(**SIZES)).eval())


def _ids(*shape: int) -> dict[str, Spec]:
    return {"input_ids": Spec(shape, "int64"), "attention_mask": Spec(shape, "int64")}


def test_one_program_serves_every_batch_and_length(programs: Programs) -> None:
    first = programs.fitting(_ids(1, 4))
    assert programs.fitting(_ids(3, 9)) is first
    assert programs.fitting({"input_ids": Spec((None, None), "int32"), "attention_mask": _ids(1, 1)["input_ids"]})
    assert not first.fits({"input_ids": Spec((2, 4), "int64"), "attention_mask": Spec((2, 5), "int64")})


def test_shared_weights_have_one_name(programs: Programs) -> None:
    program = programs.fitting(_ids(2, 4))
    other = aliases(programs.model)
    assert other["cls.predictions.decoder.weight"] == "bert.embeddings.word_embeddings.weight"
    assert not set(program.parameters) & set(other)
    assert set(program.parameters) <= set(leaves(programs.model))


def test_the_mode_is_left_as_it_was(programs: Programs) -> None:
    assert not programs.model.training
    training = programs.fitting(_ids(2, 4), train=True)
    assert not programs.model.training
    assert any(op.target.startswith("aten.native_dropout") for op in training.ops)
    assert not any(op.target.startswith("aten.native_dropout") for op in programs.fitting(_ids(2, 4)).ops)


def test_an_unknown_operation_is_named_with_its_model(programs: Programs) -> None:
    program = programs.fitting(_ids(2, 4))
    weights = leaves(programs.model)
    inputs = dict.fromkeys(("input_ids", "attention_mask"), torch.ones(2, 4, dtype=torch.int64))
    with pytest.raises(EnfoldError, match=r"BertForMaskedLM uses the operation aten\.\w+"):
        run(program, {"aten.sym_size": lambda x, at: x.shape[at]}, weights, inputs)


class Held(nn.Module):
    """Gradients end at two places; what is trained has another way too, and a part that is changed in place."""

    def __init__(self, kept: bool) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(3, 3), nn.Linear(3, 3), nn.BatchNorm1d(3)
        self.kept = kept

    def forward(self, x: Tensor, return_dict: bool = True) -> Tensor:
        y = self.first(x)
        y = x * y + (y * y).detach() + torch.tensor([1.0, 2.0, 3.0])
        if self.kept:
            return y
        with torch.no_grad():
            scale = self.second(y).sum()
        return self.norm(y * scale)


def _jax_gradients(program: Program, weights: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    jax = pytest.importorskip("jax")
    from enfold.transformers.frameworks.jax_ops.table import TABLE

    real = {name: value for name, value in weights.items() if value.dtype == np.float32}

    def total(real: dict[str, Any]) -> Any:
        return (run(program, TABLE, {**weights, **real}, inputs).output["output"] ** 2).sum()

    return {name: np.asarray(value) for name, value in jax.jit(jax.grad(total))(real).items()}


def _tensorflow_gradients(program: Program, weights: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    tf = pytest.importorskip("tensorflow")
    from enfold.transformers.frameworks.tensorflow_ops import TABLE

    known = {name: tf.Variable(value) for name, value in weights.items()}
    with tf.GradientTape() as tape:
        output = run(program, TABLE, known, {name: tf.constant(x) for name, x in inputs.items()}).output["output"]
        total = tf.reduce_sum(output**2)
    real = {name: value for name, value in known.items() if value.dtype == tf.float32}
    found = tape.gradient(total, real, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return {name: value.numpy() for name, value in found.items()}


@pytest.mark.parametrize("gradients", [_jax_gradients, _tensorflow_gradients])
@pytest.mark.parametrize("kept", [True, False])
def test_gradients_end_where_torch_ends_them(gradients: Any, kept: bool) -> None:
    torch.manual_seed(0)
    model, x = Held(kept).train(), torch.randn(4, 3)
    program = Programs(model).fitting({"x": Spec((4, 3), "float32")}, train=True)
    weights = {name: tensor.detach().numpy().copy() for name, tensor in leaves(model).items()}
    (model(x) ** 2).sum().backward()
    found = gradients(program, weights, {"x": x.numpy()})
    for name, parameter in model.named_parameters():
        wanted = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.numpy()
        np.testing.assert_allclose(found[name], wanted, atol=1e-4, rtol=1e-4, err_msg=name)
    assert not found["second.weight"].any() and found["first.weight"].any()
