"""A tiny model that writes, and servers of it that really run, in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ENFOLD = str(Path(sys.executable).with_name("enfold"))
TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'nobody' %}{{ raise_exception('nobody may speak') }}{% endif %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if tools %}{{ tools | tojson }} <tool_call>{% endif %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SHAPE = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 512, "initializer_range": 0.5,
}  # fmt: skip
KEY = "a-key-for-tests-only-0123456789"


def make_folder(path: Path) -> Path:
    """Write a tiny Llama with a vocabulary of bytes, three tokens that part turns, and an adapter."""
    import torch

    import enfold.transformers as tf
    from enfold.peft import LoraConfig, get_peft_model
    from enfold.tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({letter: place for place, letter in enumerate(letters)}, []))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    core.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    words = tf.PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|im_end|>")
    words.chat_template = TEMPLATE
    words.save_pretrained(path)
    torch.manual_seed(0)
    end = words.convert_tokens_to_ids("<|im_end|>")
    model = tf.LlamaForCausalLM(tf.LlamaConfig(vocab_size=258, eos_token_id=end, pad_token_id=end, **SHAPE)).eval()
    model.save_pretrained(path)
    for name, seed in (("one", 1), ("two", 2)):
        torch.manual_seed(seed)
        learnt = get_peft_model(
            tf.LlamaForCausalLM.from_pretrained(path),
            LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False),
        )
        learnt.save_pretrained(path / "adapters" / name)
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny model."""
    return make_folder(tmp_path_factory.mktemp("tiny"))


class Server:
    """A server in a process of its own."""

    def __init__(self, arguments: list[str], **variables: str) -> None:
        command = [ENFOLD, "serve", *arguments, "--port", "0", "--no-page"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        self.said, self.log = "", list[str]()
        self._reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr or ()), daemon=True)
        self._reader.start()
        for line in self.process.stdout:
            self.said += line
            found = re.search(r"At (http\S+?),", line)
            if found:
                self.url = found[1]
                return
        raise AssertionError(f"the server did not start:\n{self.said}{''.join(self.log)}")

    def interrupt(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)

    def stop(self) -> int:
        """End it, and return its status."""
        if self.process.poll() is None:
            self.interrupt()
        code = self.process.wait(60)
        self._reader.join(10)
        return code


@pytest.fixture(scope="session")
def serve(folder: Path) -> Iterator[Callable[..., Server]]:
    """Start a server of the tiny model: ``serve(*arguments, **variables)``."""
    running: list[Server] = []

    def start(*arguments: str, **variables: str) -> Server:
        running.append(Server([f"tiny={folder}", *arguments], **variables))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def server(serve: Callable[..., Server], folder: Path) -> Server:
    """A server of the tiny model and its two adapters."""
    adapters = [part for name in ("one", "two") for part in ("--adapter", f"{name}={folder / 'adapters' / name}")]
    return serve(*adapters, "--max-running", "8")


@pytest.fixture
def ask(server: Server) -> Callable[..., Any]:
    """Post to the server: ``ask(path, **body)``."""
    import httpx

    def post(path: str, **body: Any) -> Any:
        return httpx.post(server.url + path, json=body, timeout=120)

    return post
