"""Exported graphs compute what their models do, on inputs of other sizes and with padding; onnxruntime runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exported_graphs import FIRST, LONG, SHORT, apart, every, tiny, varied

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from enfold.errors import EnfoldError  # noqa: E402
from enfold.nn.outputs import ModelOutput  # noqa: E402
from enfold.optimum.exporters import TaskError, parts  # noqa: E402
from enfold.optimum.exporters.onnx import ExportError, convert, export, validate  # noqa: E402
from enfold.optimum.onnxruntime import (  # noqa: E402
    ORTModelForCausalLM,
    ORTModelForCTC,
    ORTModelForCustomTasks,
    ORTModelForImageClassification,
    ORTModelForSeq2SeqLM,
    ORTModelForSpeechSeq2Seq,
    ORTModelForTokenClassification,
    ORTModelForVision2Seq,
)
from enfold.optimum.onnxruntime.caches import SessionCache  # noqa: E402
from enfold.optimum.onnxruntime.decoding import LONG as LONG_PROMPT  # noqa: E402
from enfold.optimum.onnxruntime.sessions import ProviderError, tensor_of, value_of  # noqa: E402

Exported = Callable[[str, str], tuple[Any, Path]]
STARRED = [case for case in every() if case[1].startswith("*")]
OTHERS = [case for case in every() if not case[1].startswith("*")]


def compare(model: Any, folder: Path) -> None:
    for part in parts(model):
        path = folder / f"{part.name}.onnx"
        given = [varied(part, SHORT, padded=False), varied(part, LONG, padded=True, seed=1)]
        if "past_key_values.0.key" in part.inputs:
            given.append(varied(part, FIRST, padded=True, seed=2))
        for inputs in given:
            assert apart(part, path, inputs) < 1e-4, part.name


@pytest.mark.parametrize(("module", "name"), STARRED)
def test_a_graph_is_its_model_at_other_sizes_and_with_padding(module: str, name: str, exported: Exported) -> None:
    compare(*exported(module, name))


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), OTHERS)
def test_every_graph_is_its_model(module: str, name: str, exported: Exported) -> None:
    compare(*exported(module, name))


def test_names_and_dimensions_are_those_of_the_ecosystem(exported: Exported) -> None:
    _, folder = exported("first", "*llama-causal")
    graph = onnx.load(folder / "model.onnx").graph

    def shapes(values: Any) -> dict[str, list[Any]]:
        sizes = {value.name: value.type.tensor_type.shape.dim for value in values}
        return {name: [size.dim_param or size.dim_value for size in every_one] for name, every_one in sizes.items()}

    text = ["batch_size", "sequence_length"]
    given = shapes(graph.input)
    assert list(given)[:3] == ["input_ids", "attention_mask", "position_ids"]
    assert given["input_ids"] == text and given["position_ids"] == text
    assert given["attention_mask"] == ["batch_size", "past_sequence_length + sequence_length"]
    assert [given["past_key_values.0.key"][axis] for axis in (0, 2)] == ["batch_size", "past_sequence_length"]
    assert list(shapes(graph.output)) == ["logits", "present.0.key", "present.0.value"]
    _, folder = exported("seq2seq", "*t5-writes")
    files = sorted(path.name for path in folder.glob("*.onnx"))
    assert files == ["decoder_model.onnx", "decoder_with_past_model.onnx", "encoder_model.onnx"]
    written = shapes(onnx.load(folder / "decoder_with_past_model.onnx").graph.input)
    assert {"past_key_values.0.decoder.key", "past_key_values.0.encoder.value", "encoder_attention_mask"} <= {*written}
    assert json.loads((folder / "config.json").read_text())["model_type"] == "t5"


def test_a_task_that_a_model_does_not_do_is_refused() -> None:
    model = tiny("first", "*bert-token")
    with pytest.raises(TaskError, match="no task is called 'token-clasification'; did you mean 'token-classification'"):
        parts(model, "token-clasification")
    assert [part.name for part in parts(model, "ner")] == ["model"]


def test_a_graph_that_differs_from_its_model_is_told(exported: Exported, tmp_path: Path) -> None:
    model, folder = exported("first", "*bert-token")
    (part,) = parts(model)
    assert validate(part, folder / "model.onnx") < 1e-4
    other = tiny("first", "*bert-token")
    with torch.no_grad():
        other.classifier.bias += 1
    (changed,) = parts(other)
    with pytest.raises(ExportError, match=r"logits of model.onnx differs from the model's by 1\.0e\+00"):
        validate(changed, folder / "model.onnx")


def test_weights_beyond_a_file_lie_beside_it(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "LARGEST", 1000)
    model, _ = exported("first", "*bert-token")
    (part,) = parts(model)
    path = export(part, tmp_path / "model.onnx")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "model.onnx_data"]
    assert apart(part, path, varied(part, LONG, padded=True)) < 1e-4
    model.config.save_pretrained(tmp_path)
    loaded = ORTModelForTokenClassification.from_pretrained(tmp_path)
    loaded.save_pretrained(tmp_path / "copy")
    assert (tmp_path / "copy" / "model.onnx_data").read_bytes() == (tmp_path / "model.onnx_data").read_bytes()


# --- onnxruntime


def test_tensors_share_memory_with_the_runtime() -> None:
    tensor = torch.arange(6.0).view(2, 3)
    value = value_of(tensor, torch.float32)
    assert value.data_ptr() == tensor.data_ptr() == tensor_of(value).data_ptr()
    assert tensor_of(value_of(tensor, torch.int64)).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_model_answers_like_torch(exported: Exported) -> None:
    model, folder = exported("first", "*bert-token")
    ours = ORTModelForTokenClassification.from_pretrained(folder)
    ids = torch.tensor([[5, 6, 7, 8], [9, 3, 0, 0]])
    mask = (ids > 0).long()
    expected = model(ids, attention_mask=mask).logits
    output = ours(input_ids=ids, attention_mask=mask)
    assert isinstance(output, ModelOutput) and torch.allclose(output.logits, expected, atol=1e-5)
    arrays = ours(input_ids=ids.numpy(), attention_mask=mask.numpy())
    assert isinstance(arrays.logits, np.ndarray)
    assert torch.allclose(ours(ids, mask, return_dict=False)[0], expected, atol=1e-5)
    with pytest.raises(EnfoldError, match="needs 'input_ids'"):
        ours(attention_mask=mask)
    custom = ORTModelForCustomTasks.from_pretrained(folder)
    assert torch.allclose(custom(input_ids=ids, attention_mask=mask)["logits"], expected, atol=1e-5)


def test_what_is_missing_is_said(exported: Exported, tmp_path: Path) -> None:
    model, folder = exported("first", "*bert-token")
    with pytest.raises(ProviderError, match="no 'CPUExecutionProvidr' here; did you mean 'CPUExecutionProvider'"):
        ORTModelForTokenClassification.from_pretrained(folder, provider="CPUExecutionProvidr")
    with pytest.raises(OSError, match=r"has no other\.onnx; it has model\.onnx"):
        ORTModelForTokenClassification.from_pretrained(folder, file_name="other.onnx")
    with pytest.raises(EnfoldError, match="does not take 'providr'; did you mean 'provider'"):
        ORTModelForTokenClassification.from_pretrained(folder, providr="CPUExecutionProvider")
    model.save_pretrained(tmp_path)
    with pytest.raises(OSError, match=r"has no model\.onnx; export=True makes one"):
        ORTModelForTokenClassification.from_pretrained(tmp_path, export=False)


def test_a_file_in_a_folder_named_onnx_is_found_and_saved(exported: Exported, tmp_path: Path) -> None:
    model, folder = exported("first", "*bert-token")
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    model.config.save_pretrained(tmp_path)
    loaded = ORTModelForTokenClassification.from_pretrained(tmp_path)
    loaded.save_pretrained(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["config.json", "model.onnx"]
    (tmp_path / "saved" / "model.onnx").rename(tmp_path / "saved" / "renamed.onnx")
    assert ORTModelForTokenClassification.from_pretrained(tmp_path / "saved", file_name="renamed.onnx").providers


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"use_cache": False}, {"num_beams": 2, "padded": True}])
def test_a_decoder_writes_what_torch_writes(options: dict[str, Any], exported: Exported) -> None:
    model, folder = exported("first", "*llama-causal")
    ours = ORTModelForCausalLM.from_pretrained(folder)
    ids = torch.randint(3, 60, (3, 5), generator=torch.Generator().manual_seed(0))
    options = dict(options)
    if options.pop("padded", False):
        options["attention_mask"] = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]])
    expected = model.generate(ids, max_new_tokens=8, **options)
    assert torch.equal(ours.generate(ids, max_new_tokens=8, **options), expected)


def test_a_long_prompt_is_read_without_the_scores_of_words_that_are_not_asked_for(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, folder = exported("first", "*llama-causal")
    ours = ORTModelForCausalLM.from_pretrained(folder)
    ids = torch.randint(3, 60, (2, LONG_PROMPT + 9), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(ids)
    mask[0, :7] = 0
    whole = ours(ids, mask).logits
    asked: list[Any] = []
    run = ours.session.run
    monkeypatch.setattr(
        ours.session, "run", lambda given, *more, **named: asked.append(more) or run(given, *more, **named)
    )
    past = SessionCache()
    for keep, parts_of_it in ((2, 2), (10, 1), (0, 1)):
        past.reset()
        asked.clear()
        found = ours(ids, mask, past_key_values=past, logits_to_keep=keep).logits
        assert torch.allclose(found, whole[:, -keep:], atol=1e-5)
        assert len(asked) == parts_of_it and past.get_seq_length() == ids.shape[1]
    written = model.generate(ids, attention_mask=mask, max_new_tokens=3)
    assert torch.equal(ours.generate(ids, attention_mask=mask, max_new_tokens=3), written)


def test_a_cache_of_a_session_can_be_cut_and_sorted(exported: Exported) -> None:
    _, folder = exported("first", "*llama-causal")
    model = ORTModelForCausalLM.from_pretrained(folder)
    ids = torch.tensor([[5, 6, 7, 8], [9, 3, 4, 7]])
    cache = SessionCache()
    whole = model(ids, past_key_values=cache).logits
    assert cache.get_seq_length() == 4 and len(cache) == 1
    cache.crop(-2)
    assert torch.allclose(model(ids[:, 2:], past_key_values=cache).logits, whole[:, 2:], atol=1e-5)
    cache.crop(3)
    cache.batch_select_indices(torch.tensor([1, 1]))
    again = model(ids[[1, 1], 3:], past_key_values=cache).logits
    assert torch.allclose(again[0], again[1]) and torch.allclose(again[:1], whole[1:, 3:], atol=1e-5)
    cache.reset()
    assert not cache.is_initialized and cache.get_seq_length() == 0
    with pytest.raises(EnfoldError, match="SessionCache here, not tuple"):
        model(ids, past_key_values=())


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"use_cache": False}])
def test_an_encoder_decoder_writes_what_torch_writes(options: dict[str, Any], exported: Exported) -> None:
    model, folder = exported("seq2seq", "*t5-writes")
    ours = ORTModelForSeq2SeqLM.from_pretrained(folder)
    ids = torch.randint(3, 60, (2, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    expected = model.generate(ids, attention_mask=mask, max_new_tokens=6, **options)
    assert torch.equal(ours.generate(ids, attention_mask=mask, max_new_tokens=6, **options), expected)


def test_sounds_and_pictures_are_understood(exported: Exported) -> None:
    model, folder = exported("speech", "*wav2vec2-letters")
    sound = torch.randn(2, 1200, generator=torch.Generator().manual_seed(0))
    heard = ORTModelForCTC.from_pretrained(folder)(input_values=sound).logits
    assert torch.allclose(heard, model(sound).logits, atol=1e-4)
    model, folder = exported("vision", "*vit-class")
    pixels = parts(model)[0].example[0]
    seen = ORTModelForImageClassification.from_pretrained(folder)(pixel_values=pixels).logits
    assert torch.allclose(seen, model(pixels).logits, atol=1e-4)


@pytest.mark.slow
def test_speech_and_pictures_are_put_into_words(exported: Exported) -> None:
    model, folder = exported("speech_seq2seq", "whisper-writes")
    draw = torch.Generator().manual_seed(0)
    sound = torch.randn(2, model.config.num_mel_bins, 2 * model.config.max_source_positions, generator=draw)
    heard = ORTModelForSpeechSeq2Seq.from_pretrained(folder)
    for options in ({}, {"num_beams": 2}):
        expected = model.generate(sound, max_new_tokens=6, **options)
        assert torch.equal(heard.generate(sound, max_new_tokens=6, **options), expected)
    model, folder = exported("joined", "vit-gpt2")
    pixels = parts(model)[0].example[0]
    expected = model.generate(pixels, max_new_tokens=5, decoder_start_token_id=3, pad_token_id=0)
    seen = ORTModelForVision2Seq.from_pretrained(folder)
    assert torch.equal(seen.generate(pixels, max_new_tokens=5, decoder_start_token_id=3, pad_token_id=0), expected)
