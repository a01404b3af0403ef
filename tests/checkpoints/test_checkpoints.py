"""Weights to a folder and back: shards, shared tensors, old names, damaged and hostile files."""

from __future__ import annotations

import json
import os
import pickle
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from enfold.checkpoints import CheckpointError, find_weights, load_into, parse_size, read_state_dict, save


class Body(nn.Module):
    """A base model."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(6, 4)
        self.norm = nn.LayerNorm(4)
        self.register_buffer("table", torch.arange(3.0))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)


class Headed(nn.Module):
    """The base model under ``body``, with a head tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Body()
        self.head = nn.Linear(4, 6, bias=False)
        self.head.weight = self.body.embed.weight


def on_meta(kind: type[nn.Module]) -> Any:
    """Return a module without memory."""
    with torch.device("meta"):
        return kind()


def test_a_module_comes_back_without_a_copy(tmp_path: Path) -> None:
    source = Body()
    save(source, tmp_path)
    target = on_meta(Body)
    report = load_into(target, tmp_path)
    assert report.missing == [] and report.unexpected == [] and report.dtype == torch.float32
    for name, tensor in source.state_dict().items():
        assert torch.equal(tensor, target.state_dict()[name])
    if Path("/proc/self/maps").exists():  # the bytes are those of the file, mapped
        lines = Path("/proc/self/maps").read_text().splitlines()
        spans = [line.split()[0].split("-") for line in lines if line.endswith(str(tmp_path / "model.safetensors"))]
        place = target.embed.weight.data_ptr()
        assert any(int(start, 16) <= place < int(end, 16) for start, end in spans)
    with torch.no_grad():
        target.embed.weight.add_(1)  # a private copy of the page: the file does not change
    assert torch.equal(read_state_dict(tmp_path / "model.safetensors")["embed.weight"], source.embed.weight)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    limit=st.integers(16, 200),
)
def test_any_split_into_shards_reads_back_whole(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    state = {f"layer.{index}.weight": torch.randn(size) for index, size in enumerate(sizes)}
    files = save(state, folder, max_shard_size=limit)
    again = read_state_dict(*find_weights(folder))
    assert set(again) == set(state) and all(torch.equal(again[name], state[name]) for name in state)
    if len(files) > 1:
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in state.values())
        assert set(index["weight_map"]) == set(state)
        shards = set(index["weight_map"].values())
        assert shards == {f"model-{n + 1:05d}-of-{len(shards):05d}.safetensors" for n in range(len(shards))}


def test_shards_of_an_earlier_save_do_not_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    state = {str(index): torch.randn(10) for index in range(4)}
    save(state, tmp_path, max_shard_size=40)
    assert len(list(tmp_path.glob("model-*"))) == 4
    save(state, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "notes.txt"]


def test_shared_tensors_are_written_once_under_the_name_that_is_not_tied(tmp_path: Path) -> None:
    save(Headed(), tmp_path, tied={"body.embed.weight"})
    assert "head.weight" in load_file(tmp_path / "model.safetensors")
    save(Headed(), tmp_path, tied={"head.weight"})
    names = set(load_file(tmp_path / "model.safetensors"))
    assert "body.embed.weight" in names and "head.weight" not in names


def test_views_of_one_tensor_are_written_apart(tmp_path: Path) -> None:
    whole = torch.randn(6, 4)
    save({"first": whole[:3], "second": whole[3:], "flipped": whole.T, "all": whole}, tmp_path)
    again = load_file(tmp_path / "model.safetensors")
    assert torch.equal(again["second"], whole[3:]) and torch.equal(again["flipped"], whole.T)


def test_a_base_model_reads_a_headed_checkpoint_and_the_other_way_round(tmp_path: Path) -> None:
    headed = Headed()
    save(headed, tmp_path / "headed", tied={"head.weight"})
    save(headed.body, tmp_path / "base")
    base = on_meta(Body)
    report = load_into(base, tmp_path / "headed", prefix="body")
    assert report.missing == [] and torch.equal(base.embed.weight, headed.body.embed.weight)
    other = on_meta(Headed)
    report = load_into(other, tmp_path / "base", prefix="body")
    assert report.missing == ["head.weight"] and torch.equal(other.body.embed.weight, headed.body.embed.weight)


def test_gamma_and_beta_of_old_files_are_weight_and_bias(tmp_path: Path) -> None:
    state = {"norm.gamma": torch.full((4,), 2.0), "norm.beta": torch.full((4,), 3.0)}
    save_file(state, tmp_path / "model.safetensors")
    module = on_meta(Body)
    report = load_into(module, tmp_path)
    assert module.norm.weight.tolist() == [2.0] * 4 and module.norm.bias.tolist() == [3.0] * 4
    assert set(report.missing) == {"embed.weight", "table"} and report.unexpected == []


def test_names_can_be_mapped_and_known_strangers_ignored(tmp_path: Path) -> None:
    save({"old.weight": torch.ones(6, 4), "position_ids": torch.ones(1), "stranger": torch.ones(1)}, tmp_path)
    module = on_meta(Body)
    report = load_into(module, tmp_path, key_mapping={"^old": "embed"}, ignore_unexpected=["position_ids$"])
    assert report.unexpected == ["stranger"] and "embed.weight" in report.loaded
    with pytest.raises(CheckpointError, match="stranger"):
        load_into(on_meta(Body), tmp_path, strict=True)


def test_floating_tensors_take_the_asked_type_and_others_keep_theirs(tmp_path: Path) -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))
            self.register_buffer("count", torch.tensor([3]))

    save(Counted(), tmp_path)
    module = on_meta(Counted)
    load_into(module, tmp_path, dtype="bfloat16")
    assert module.weight.dtype == torch.bfloat16 and module.count.dtype == torch.int64


def test_another_shape_is_named_or_skipped(tmp_path: Path) -> None:
    save({"embed.weight": torch.ones(9, 4)}, tmp_path)
    with pytest.raises(CheckpointError, match=r"embed.weight: \(9, 4\) in the file, \(6, 4\) in the module"):
        load_into(on_meta(Body), tmp_path)
    report = load_into(on_meta(Body), tmp_path, ignore_mismatched_sizes=True)
    assert report.mismatched == [("embed.weight", (9, 4), (6, 4))]


@pytest.mark.parametrize("zipped", [True, False])
def test_old_files_are_read_as_weights_alone(tmp_path: Path, zipped: bool) -> None:
    torch.save(
        {"embed.weight": torch.ones(6, 4)}, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped
    )
    module = on_meta(Body)
    assert "embed.weight" in load_into(module, tmp_path).loaded


def test_sharded_old_files_are_written_and_read(tmp_path: Path) -> None:
    state = {str(index): torch.randn(10) for index in range(3)}
    files = save(state, tmp_path, max_shard_size=40, safe_serialization=False)
    assert Path(files[-1]).name == "pytorch_model.bin.index.json"
    assert set(read_state_dict(*find_weights(tmp_path))) == set(state)


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_a_file_that_runs_code_when_unpickled_is_refused(tmp_path: Path) -> None:
    torch.save({"embed.weight": Evil(tmp_path / "ran")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="cannot be read as weights alone"):
        load_into(on_meta(Body), tmp_path)
    (tmp_path / "other.bin").write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    with pytest.raises(CheckpointError):
        read_state_dict(tmp_path / "other.bin")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", 3])
def test_an_index_that_leaves_its_folder_is_refused(tmp_path: Path, name: Any) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "secret.safetensors")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match="not a file beside the index"):
        find_weights(folder)


@pytest.mark.parametrize("content", [b"", b"\x00" * 40, b"\xff" * 100])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_into(on_meta(Body), tmp_path)


def test_nothing_there_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.safetensors, .*pytorch_model\.bin"):
        find_weights(tmp_path)
    with pytest.raises(CheckpointError, match=r"model\.fp16\.safetensors") as caught:
        find_weights(tmp_path, variant="fp16", use_safetensors=True)
    assert "bin" not in str(caught.value)


def test_a_variant_has_files_of_its_own(tmp_path: Path) -> None:
    state = {str(index): torch.full((10,), float(index)) for index in range(3)}
    save(state, tmp_path)
    save(state, tmp_path, variant="fp16", max_shard_size=40)
    assert (tmp_path / "model.safetensors").exists() and (tmp_path / "model.safetensors.index.fp16.json").exists()
    assert {Path(path).name for path in find_weights(tmp_path, variant="fp16")} == {
        f"model.fp16-0000{n}-of-00003.safetensors" for n in (1, 2, 3)
    }


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save({"a": torch.ones(1)}, tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("enfold.checkpoints.write.save_file", full)
    with pytest.raises(OSError, match="no space"):
        save({"a": torch.zeros(1)}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_weights_without_values_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="meta device"):
        save(on_meta(Body), tmp_path)


def test_files_have_the_permissions_of_new_files(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    save({"a": torch.ones(1)}, tmp_path)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()]
    assert modes[0] == modes[1]


def test_sizes_are_read_as_people_write_them() -> None:
    assert parse_size("200KB") == 200_000 and parse_size("1.5 MiB") == 1_572_864 and parse_size("7") == 7
    with pytest.raises(CheckpointError, match="5GB"):
        parse_size("much")
