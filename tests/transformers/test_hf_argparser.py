"""Command lines, JSON and YAML that become dataclasses, ``TrainingArguments`` among them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Optional

import pytest

from enfold.transformers import HfArgumentParser, Seq2SeqTrainingArguments, TrainingArguments
from enfold.transformers.hf_argparser import HfArg


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Plain:
    path: str
    count: int = 3
    rate: float = 0.5
    flag: bool = False
    on: bool = True
    maybe: Optional[bool] = None  # noqa: UP045 - the spelling that scripts have
    size: int | None = None
    names: list[str] = field(default_factory=lambda: ["a"])
    numbers: Optional[list[int]] = None  # noqa: UP045
    kind: Literal["x", 2] = "x"
    colour: Colour = Colour.RED
    text_or_number: int | str | None = None
    short: str = HfArg(default="s", aliases=["-e", "--example"], help="one letter")


@dataclass
class Data:
    split_batches: int = 7  # also an old spelling of a training argument
    mapping: dict[str, Any] = field(default_factory=dict)


LINES: list[list[str]] = [
    ["--path", "p"],
    ["--path", "p", "--flag", "--no_on", "--maybe", "true", "--size", "4", "--names", "b", "c"],
    ["--path", "p", "--flag", "no", "--on", "0", "--numbers", "1", "2", "--kind", "2", "--text_or_number", "5"],
    ["--path=p", "--text-or-number", "5", "-e", "q", "--no-on", "--rate", "1e-3"],
]


def parsed(line: list[str], *kinds: Any) -> tuple[Any, ...]:
    return HfArgumentParser(kinds or Plain).parse_args_into_dataclasses(line, look_for_args_file=False)


def test_words_become_values_of_the_fields_types() -> None:
    made = [dataclasses.asdict(parsed(line)[0]) for line in LINES]
    assert made[0] == dataclasses.asdict(Plain("p"))
    assert made[1]["flag"] is True and made[1]["on"] is False and made[1]["maybe"] is True
    assert made[1]["size"] == 4 and made[1]["names"] == ["b", "c"]
    assert made[2]["flag"] is False and made[2]["numbers"] == [1, 2] and made[2]["kind"] == 2
    assert made[3]["short"] == "q" and made[3]["rate"] == 1e-3 and made[3]["on"] is False
    assert parsed(["--mapping", '{"a": 1}'], Data)[0].mapping == {"a": 1}


def test_a_training_is_configured_by_either_versions_names(tmp_path: Path) -> None:
    line = "--output_dir out --evaluation_strategy steps --eval_steps 5 --overwrite_output_dir --bf16 --no_cuda"
    line += " --per-device-train-batch-size 2 --report_to none"
    words = [*line.split(), "--lr_scheduler_kwargs", '{"num_cycles": 2}', "--split_batches", "3"]
    data, args = parsed(words, Data, TrainingArguments)
    assert data.split_batches == 3
    assert args.eval_strategy == "steps" and args.eval_steps == 5 and args.bf16 and args.use_cpu
    assert args.per_device_train_batch_size == 2 and args.report_to == [] and args.overwrite_output_dir is True
    assert args.lr_scheduler_kwargs == {"num_cycles": 2}
    assert parsed(["--fsdp"], TrainingArguments)[0].fsdp is True
    assert parsed(["--fsdp", "full_shard auto_wrap"], TrainingArguments)[0].fsdp == "full_shard auto_wrap"
    assert parsed(["--predict_with_generate"], Seq2SeqTrainingArguments)[0].predict_with_generate is True
    settings = {
        "output_dir": "out",
        "evaluation_strategy": "epoch",
        "learning_rate": 1e-3,
        "fsdp_config": {"version": 2},
    }
    (tmp_path / "args.json").write_text(json.dumps(settings))
    (tmp_path / "args.yaml").write_text("output_dir: out\nevaluation_strategy: epoch\nlearning_rate: 0.001\n")
    parser = HfArgumentParser(TrainingArguments)
    (from_json,) = parser.parse_json_file(tmp_path / "args.json")
    (from_yaml,) = parser.parse_yaml_file(str(tmp_path / "args.yaml"))
    assert from_json.eval_strategy == from_yaml.eval_strategy == "epoch"
    assert from_json.learning_rate == from_yaml.learning_rate == 1e-3 and from_json.fsdp_config == {"version": 2}


def test_files_of_words_come_before_those_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "a.args").write_text("--path file --count 1 --size 2")
    parser = HfArgumentParser(Plain)
    (made,) = parser.parse_args_into_dataclasses(["--count", "9"], args_filename=tmp_path / "a.args")
    assert (made.path, made.count, made.size) == ("file", 9, 2)
    words = ["--settings", str(tmp_path / "a.args"), "--size", "5"]
    (made,) = parser.parse_args_into_dataclasses(words, args_file_flag="--settings", look_for_args_file=False)
    assert (made.path, made.count, made.size) == ("file", 1, 5)


def test_further_options_come_back_in_a_namespace_and_unknown_ones_are_named() -> None:
    parser = HfArgumentParser(Plain, description="d")
    parser.add_argument("--extra", type=int)
    made, namespace = parser.parse_args_into_dataclasses(["--path", "p", "--extra", "3"])
    assert namespace.extra == 3 and made.path == "p"
    assert parser.parse_args_into_dataclasses(["--path", "p", "word"], return_remaining_strings=True)[-1] == ["word"]
    with pytest.raises(ValueError, match="did you mean '--count'"):
        parser.parse_args_into_dataclasses(["--path", "p", "--coumt", "1"])
    with pytest.raises(ValueError, match="did you mean 'count'"):
        parser.parse_dict({"path": "p", "coumt": 1})
    assert parser.parse_dict({"path": "p", "coumt": 1}, allow_extra_keys=True)[0].count == 3
    with pytest.raises(SystemExit):
        parser.parse_args_into_dataclasses(["--path", "p", "--flag", "perhaps"])
    with pytest.raises(SystemExit):
        parser.parse_args_into_dataclasses([])
