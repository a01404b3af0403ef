"""Optimizers by name: what each does to weights, and what it keeps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from trainer_small import Net, losses, rows, trainer, weights

from enfold.nn.quantized import Linear4bit
from enfold.peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from enfold.transformers import BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM
from enfold.transformers.trainer import OptimizerNames, TrainingArguments, get_last_checkpoint
from enfold.transformers.trainer.arguments import UnsupportedArgument
from enfold.transformers.trainer.optimization import AdamW, AdEMAMix, AnyPrecisionAdamW, Lion, state_bytes
from enfold.transformers.trainer.optimization.blocks import code_values, pack, unpack
from enfold.transformers.trainer.optimizer_names import algorithm_of
from enfold.transformers.trainer.optimizers import make_optimizer, optimizer_class
from enfold.transformers.trainer.recipes import UnknownOption

SMALL = "min_8bit_size=8,block_size=8"  # so that the tests' small tensors are kept in few bits too
LOW = {"optim_target_modules": ["first", "classifier"], "optim_args": "rank=2,update_proj_gap=9"}
FREE = {"lr_scheduler_type": "constant"}
FOUR_BITS = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)

# Of every algorithm one name, with what it needs.
OFFERED: dict[str, dict[str, Any]] = {
    "adamw_torch": {}, "adamw_torch_fused": {}, "adafactor": {}, "ademamix": {}, "rmsprop": {}, "stable_adamw": {},
    "lion_32bit": {"learning_rate": 2e-2}, "sgd": {"learning_rate": 0.1}, "adagrad": {"learning_rate": 0.05},
    "adamw_8bit": {"optim_args": SMALL}, "ademamix_8bit": {"optim_args": SMALL},
    "rmsprop_bnb_8bit": {"optim_args": SMALL}, "adamw_torch_8bit": {"optim_args": SMALL},
    "adamw_torch_4bit": {"optim_args": SMALL},
    "lion_8bit": {"optim_args": SMALL, "learning_rate": 2e-2},
    "adamw_anyprecision": {"optim_args": "use_kahan_summation=True,variance_dtype=bfloat16"},
    "grokadamw": {}, "galore_adamw": {**LOW, "learning_rate": 0.1}, "galore_adafactor": {**LOW, "learning_rate": 0.1},
    "galore_adamw_8bit": {**LOW, "optim_args": f"{LOW['optim_args']},{SMALL}", "learning_rate": 0.1},
    "galore_adamw_layerwise": {**LOW, "learning_rate": 0.1}, "apollo_adamw": {**LOW, "learning_rate": 0.1},
    "galore_adafactor_layerwise": {**LOW, "learning_rate": 0.1}, "lomo": {"learning_rate": 0.1},
    "apollo_adamw_layerwise": {**LOW, "learning_rate": 0.1}, "adalomo": {"learning_rate": 0.1},
    "schedule_free_adamw": FREE, "schedule_free_radam": {**FREE, "learning_rate": 0.5},
    "schedule_free_sgd": {**FREE, "learning_rate": 0.3},
}  # fmt: skip


@pytest.mark.parametrize("name", OFFERED)
def test_every_algorithm_lowers_the_loss_and_resumes_bit_for_bit(tmp_path: Path, name: str) -> None:
    options: dict[str, Any] = {"optim": name, "save_steps": 20, "save_strategy": "steps", **OFFERED[name]}
    options["dropout"] = 0.05
    straight = trainer(tmp_path, **options)
    straight.train()
    assert losses(straight)[-1] < losses(straight)[0]
    second = trainer(tmp_path, **options)
    second.train(resume_from_checkpoint=str(tmp_path / "checkpoint-20"))
    assert torch.equal(weights(second), weights(straight))
    assert get_last_checkpoint(str(tmp_path)) == str(tmp_path / "checkpoint-26")
    few = [value for state in straight.optimizer.state.values() for value in state.values()]  # type: ignore[union-attr]
    assert any(getattr(value, "dtype", None) == torch.uint8 for value in few) == ("8bit" in name or "4bit" in name)


def test_every_other_name_is_one_of_these() -> None:
    for item in OptimizerNames:
        assert algorithm_of(item.value) in OFFERED or item.value == "galore_adamw_8bit_layerwise"
        target = "all-linear" if "galore" in item.value or "apollo" in item.value else None
        args = TrainingArguments("out", optim=item.value, optim_target_modules=target)
        kind, options = optimizer_class(args, Net())
        kind(options.pop("params", Net().parameters()), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optim": "adamw_8bit", "optim_args": "block_sise=64"}, "did you mean 'block_size'"),
        ({"optim": "galore_adamw"}, "optim_target_modules"),
        ({"optim": "galore_adamw", **LOW, "fsdp": "full_shard"}, "whole matrices"),
        ({"optim": "galore_adamw_layerwise", **LOW, "gradient_accumulation_steps": 2}, "must be 1"),
        ({"optim": "lomo", "auto_find_batch_size": True}, "move weights twice"),
        ({"optim": "adamw_anyprecision", "optim_args": "momentum_dtype=float"}, None),
        ({"optim": "adamw_anyprecision", "optim_args": "momentum_dtype=floot"}, "no type 'floot'"),
    ],
)
def test_what_does_not_go_together_is_refused_when_a_trainer_is_made(
    tmp_path: Path, options: dict[str, Any], message: str | None
) -> None:
    if message is None:
        trainer(tmp_path, **options)
        return
    with pytest.raises((UnsupportedArgument, UnknownOption), match=message):
        trainer(tmp_path, **options)


def test_modules_to_project_are_named_by_expressions_or_parts() -> None:
    for wanted, count in (("first|class.*", 2), (["first"], 1), ([r"cl\w+"], 1), ("all_linear", 2)):
        args = TrainingArguments("out", optim="apollo_adamw", optim_target_modules=wanted, weight_decay=0.1)
        groups = make_optimizer(Net(), args).param_groups
        assert sum(len(group["params"]) for group in groups if "rank" in group) == count, wanted
        assert sum(len(group["params"]) for group in groups) == 4
        assert all(group["weight_decay"] == 0.1 for group in groups if "rank" in group and group["params"])
    with pytest.raises(ValueError, match="means no trainable linear layer of Net"):
        make_optimizer(Net(), TrainingArguments("out", optim="apollo_adamw", optim_target_modules=["attn"]))


# --- state in few bits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "bytes_each", "far"), [(8, 1, 0.02), (4, 0.5, 0.35)])
def test_a_state_in_few_bits_takes_few_bytes(bits: int, bytes_each: float, far: float) -> None:
    torch.manual_seed(0)
    sizes: dict[int, int] = {}
    moved: dict[int, torch.Tensor] = {}
    for kept in (32, bits):
        weight, bias = (torch.nn.Parameter(torch.zeros(size)) for size in ((128, 300), (100,)))
        optimizer = AdamW([weight, bias], lr=0.01, optim_bits=kept)
        for step in range(6):
            generator = torch.Generator().manual_seed(step)
            weight.grad, bias.grad = torch.randn(128, 300, generator=generator), torch.ones(100)
            optimizer.step()
        sizes[kept], moved[kept] = state_bytes(optimizer), weight.detach().clone()
    count = 128 * 300
    assert sizes[32] == 2 * 4 * (count + 100)
    assert sizes[bits] == 2 * (count * bytes_each + 4 * count // 256 + 4 * 100)  # the small tensor stays in 32 bits
    assert float((moved[bits] - moved[32]).norm() / moved[32].norm()) < far


def test_codes_are_the_nearest_values_of_each_block() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((70, 100), (8, 512)):
        values = torch.randn(shape, generator=generator) * torch.logspace(-6, 1, shape[1])
        values[0] = 0
        for signed in (True, False):
            given = values if signed else values.abs()
            codes, scales = pack(given, signed)
            assert (codes.ndim == 2) == (shape[1] == 512)  # whole blocks in a row may be cut between rows
            back = unpack(codes, scales, given.shape, signed)
            blocks = torch.nn.functional.pad(given.flatten(), (0, -given.numel() % 256)).view(-1, 256)
            share = blocks / blocks.abs().amax(1, keepdim=True).clamp(min=1e-30)
            # Squares that are not 0 are rounded to the smallest value, and not to 0.
            table = code_values(signed) if signed else code_values(signed)[1:]
            best = (share.unsqueeze(-1) - table).abs().amin(-1) * blocks.abs().amax(1, keepdim=True)
            best = best.masked_fill(blocks == 0, 0.0).flatten()[: given.numel()]
            torch.testing.assert_close((back - given).abs().flatten(), best, atol=1e-6, rtol=1e-4)


def test_a_momentum_that_outlives_its_squares_does_not_explode() -> None:
    weight = torch.nn.Parameter(torch.zeros(64, 256))
    optimizer = AdamW([weight], lr=1e-3, optim_bits=8)
    for step in range(3):
        weight.grad = torch.zeros(64, 256)
        weight.grad[:, 0] = 100.0
        weight.grad[:, 1:] = 0.0 if step else 1e-2  # squares far below the block's largest
        optimizer.step()
    assert float(weight.detach().abs().max()) <= 3.1e-3


def test_embeddings_keep_their_state_in_32_bits() -> None:
    model = torch.nn.Sequential(torch.nn.Embedding(512, 16), torch.nn.Linear(16, 512))
    optimizer = make_optimizer(model, TrainingArguments("out", optim="paged_adamw_8bit"))
    model(torch.arange(512)).square().mean().backward()
    optimizer.step()
    table, matrix = optimizer.state[model[0].weight], optimizer.state[model[1].weight]
    assert table["exp_avg"].dtype == torch.float32 and matrix["exp_avg"].dtype == torch.uint8


def _language_model(layers: int = 1) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": layers, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=64, **sizes))


def _texts() -> list[dict[str, Any]]:
    texts = [[(row * 7 + step * step) % 64 for step in range(12)] for row in range(16)]
    return [{"input_ids": text, "labels": text} for text in texts]


@pytest.mark.parametrize("base", ["float32", "nf4"])
def test_adapters_trained_in_8_bits_end_where_those_in_32_do(tmp_path: Path, base: str) -> None:
    ends: dict[str, list[float]] = {}
    _language_model().save_pretrained(tmp_path)
    few = {} if base == "float32" else {"quantization_config": FOUR_BITS}
    for name in ("adamw_torch", "adamw_8bit"):
        plain = LlamaForCausalLM.from_pretrained(tmp_path, **few)
        if few:
            plain = prepare_model_for_kbit_training(plain)
            packed = {path: part.weight.clone() for path, part in plain.named_modules() if isinstance(part, Linear4bit)}
            assert len(packed) == 7 and all(weight.dtype == torch.uint8 for weight in packed.values())
        torch.manual_seed(0)
        model = get_peft_model(plain, LoraConfig(r=16, lora_alpha=32, target_modules=["q_proj", "v_proj"]))
        options: dict[str, Any] = {"optim": name, "learning_rate": 1e-2, "max_steps": 24, "logging_steps": 4}
        made = trainer(tmp_path / name, model=model, train_dataset=_texts(), **options)
        made.train()
        ends[name] = losses(made)
    assert ends["adamw_torch"][-1] < ends["adamw_torch"][0] - 0.3
    assert ends["adamw_8bit"] == pytest.approx(ends["adamw_torch"], abs=0.03)
    state = made.optimizer.state.values()  # type: ignore[union-attr]
    assert all(held["exp_avg"].dtype == torch.uint8 for held in state)
    if few:  # the base is what it was; the adapters alone moved
        assert all(torch.equal(_base(plain.get_submodule(path)).weight, weight) for path, weight in packed.items())


def _base(layer: Any) -> Linear4bit:
    return layer if isinstance(layer, Linear4bit) else layer.base_layer


# --- when weights move ------------------------------------------------------------------------------------------------


def test_moving_inside_the_backward_pass_gives_the_same_weights(tmp_path: Path) -> None:
    found: dict[str, torch.Tensor] = {}
    for name in ("galore_adamw", "galore_adamw_layerwise"):
        options: dict[str, Any] = {"optim": name, "optim_target_modules": "all-linear", "optim_args": "rank=8"}
        options |= {"max_steps": 4, "max_grad_norm": 0.0, "learning_rate": 1e-2}
        made = trainer(tmp_path / name, model=_language_model(), train_dataset=_texts(), **options)
        made.train()
        found[name] = weights(made)
    torch.testing.assert_close(found["galore_adamw"], found["galore_adamw_layerwise"])
    # After the training a backward pass leaves the weights alone.
    model = made.model
    ids = torch.tensor([row["input_ids"] for row in _texts()[:2]])
    model(input_ids=ids, labels=ids).loss.backward()
    assert torch.equal(weights(made), found["galore_adamw_layerwise"])
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_loss_that_is_no_number_moves_nothing(tmp_path: Path) -> None:
    class Broken(Net):
        def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
            out = super().forward(x, labels)
            return {**out, "loss": out["loss"] * float("nan")}

    made = trainer(tmp_path, model=Broken(), optim="lomo")
    before = weights(made).clone()
    with pytest.raises(ValueError, match="the loss of step 1 is nan"):
        made.train()
    assert torch.equal(weights(made), before)


def test_what_a_schedule_free_optimizer_evaluates_and_saves_is_the_mean(tmp_path: Path) -> None:
    options: dict[str, Any] = {"optim": "schedule_free_adamw", "lr_scheduler_type": "constant", "dropout": 0.0}
    options |= {"save_strategy": "steps", "save_steps": 13, "eval_strategy": "steps", "eval_steps": 13}
    made = trainer(tmp_path, **options, eval_dataset=rows(20))
    made.train()
    kept = load_file(tmp_path / "checkpoint-26" / "model.safetensors")
    torch.testing.assert_close(kept, dict(made.model.state_dict()), atol=0, rtol=0)
    logged = [log["eval_loss"] for log in made.state.log_history if "eval_loss" in log]
    assert made.evaluate()["eval_loss"] == pytest.approx(logged[-1], abs=1e-6)
    made.optimizer.train()  # type: ignore[union-attr]
    assert not torch.equal(kept["first.weight"], made.model.first.weight)  # type: ignore[union-attr]
    with pytest.raises(RuntimeError, match=r"call its train\(\)"):
        made.optimizer.eval()  # type: ignore[union-attr]
        made.optimizer.step()  # type: ignore[union-attr]


# --- one step ---------------------------------------------------------------------------------------------------------


def test_any_precision_remembers_what_rounding_took() -> None:
    """Steps far below the spacing of bfloat16 add up, and moments are kept in the types that were asked for."""
    moved = {}
    for careful in (True, False):
        weight = torch.nn.Parameter(torch.ones(8, dtype=torch.bfloat16))
        kinds = {"momentum_dtype": torch.float32, "variance_dtype": torch.bfloat16}
        optimizer = AnyPrecisionAdamW([weight], lr=1e-4, use_kahan_summation=careful, **kinds)
        for _ in range(100):
            weight.grad = torch.ones(8, dtype=torch.bfloat16)
            optimizer.step()
        state, moved[careful] = optimizer.state[weight], float(weight[0])
        assert state["exp_avg"].dtype == torch.float32 and state["exp_avg_sq"].dtype == torch.bfloat16
    assert moved[True] == pytest.approx(0.99, abs=0.004) and moved[False] == 1.0


def test_rounding_by_chance_is_right_on_average() -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.ones(4096, dtype=torch.bfloat16))
    optimizer = AdamW([weight], lr=1e-4, bf16_stochastic_round=True)
    for _ in range(20):
        weight.grad = torch.ones(4096, dtype=torch.bfloat16)
        optimizer.step()
    assert float(weight.float().mean()) == pytest.approx(1 - 20e-4, abs=2e-4)


def test_half_precision_weights_resume_with_their_state_in_float32() -> None:
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    weight.grad = torch.full((4,), 0.3, dtype=torch.bfloat16)
    first, second = Lion([weight]), Lion([weight])
    first.step()
    second.load_state_dict(first.state_dict())
    assert second.state[weight]["exp_avg"].dtype == torch.float32
    assert torch.equal(second.state[weight]["exp_avg"], first.state[weight]["exp_avg"])


def test_lion_moves_every_weight_by_the_rate() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    weight.grad = torch.tensor([0.5, -0.1, 0.0])
    optimizer = Lion([weight], lr=0.01, weight_decay=0.1)
    optimizer.step()
    expected = torch.tensor([1.0, -2.0, 3.0]) * (1 - 0.001) - 0.01 * torch.tensor([1.0, -1.0, 0.0])
    torch.testing.assert_close(weight.detach(), expected)
    torch.testing.assert_close(optimizer.state[weight]["exp_avg"], torch.tensor([0.005, -0.001, 0.0]))


def test_ademamix_is_as_its_paper_says() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = AdEMAMix([weight], lr=0.1, betas=(0.9, 0.99, 0.999), alpha=4.0, t_alpha=10, t_beta3=10)
    value, fast, slow, square = 1.0, 0.0, 0.0, 0.0
    for step, grad in enumerate((0.5, -0.25, 1.0), start=1):
        weight.grad = torch.tensor([grad])
        optimizer.step()
        share, near, far = step / 10, math.log(0.9), math.log(0.999)
        long = min(math.exp(near * far / ((1 - share) * far + share * near)), 0.999)
        fast, slow = 0.9 * fast + 0.1 * grad, long * slow + (1 - long) * grad
        square = 0.99 * square + 0.01 * grad * grad
        move = fast / (1 - 0.9**step) + 4.0 * share * slow
        value -= 0.1 * move / (math.sqrt(square / (1 - 0.99**step)) + 1e-8)
    assert weight.item() == pytest.approx(value, rel=1e-5)


def test_half_precision_weights_move_in_float32() -> None:
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    weight.grad = torch.full((4,), 0.5, dtype=torch.bfloat16)
    optimizer = Lion([weight], lr=0.25)
    optimizer.step()
    assert weight.dtype == torch.bfloat16 and weight.tolist() == [0.75] * 4
    assert optimizer.state[weight]["exp_avg"].dtype == torch.float32
