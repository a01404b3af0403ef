"""GGUF files that are damaged or of a kind that is not read: one clear error each."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from enfold.checkpoints import GGUF, CheckpointError
from enfold.transformers.config import ConfigError
from enfold.transformers.gguf import config_of


def text(value: str) -> bytes:
    """Return a string as the format has it."""
    return struct.pack("<Q", len(value)) + value.encode()


def file(path: Path, *, version: int = 3, kind: int = 0, data: bytes = b"\0" * 64, architecture: str = "llama") -> Path:
    """Write a file with one tensor of four by four numbers."""
    header = b"GGUF" + struct.pack("<IQQ", version, 1, 1)
    header += text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    header += text("a.weight") + struct.pack("<IQQIQ", 2, 4, 4, kind, 0)
    path.write_bytes(header + b"\0" * (-len(header) % 32) + data)
    return path


def test_a_tensor_lies_in_the_file_and_can_be_written_to(tmp_path: Path) -> None:
    path = file(tmp_path / "a.gguf", data=struct.pack("<16f", *range(16)))
    tensor = GGUF(path).tensor("a.weight")
    assert tensor.shape == (4, 4) and tensor[1, 0] == 4
    tensor += 1
    assert GGUF(path).tensor("a.weight")[0, 0] == 0 and tensor[0, 0] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": 1}, "version 1"),
        ({"kind": 16}, "stored as IQ2_XXS, which is not read here"),
        ({"kind": 77}, "stored as type 77"),
        ({"data": b"\0" * 8}, "ends within the tensor a.weight"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        GGUF(file(tmp_path / "a.gguf", **options)).tensor("a.weight")


def test_a_file_of_something_else_or_cut_off_is_refused(tmp_path: Path) -> None:
    whole = file(tmp_path / "a.gguf").read_bytes()
    for length in (3, 10, 40, 70):
        (tmp_path / "b.gguf").write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"is no GGUF file|ends within its header"):
            GGUF(tmp_path / "b.gguf")
    with pytest.raises(CheckpointError, match="does not begin with GGUF"):
        (tmp_path / "c.gguf").write_bytes(b"PK" + whole)
        GGUF(tmp_path / "c.gguf")


def test_an_architecture_that_is_not_read_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'qwen22'.*did you mean 'qwen2'"):
        config_of(GGUF(file(tmp_path / "a.gguf", architecture="qwen22")))


def test_reading_a_header_needs_no_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys; from enfold.checkpoints import GGUF; GGUF(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(file(tmp_path / "a.gguf"))], check=True)
