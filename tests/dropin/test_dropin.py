"""The drop-in: one identity, no fall-through, versions, children, and teaching errors."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# Written out: importing enfold.dropin here would switch the drop-in on for the whole test session.
LIBRARIES = ["accelerate", "datasets", "diffusers", "evaluate", "gradio", "huggingface_hub"]
LIBRARIES += ["optimum", "peft", "tokenizers", "transformers", "trl"]


def run(
    *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        [sys.executable, "-m", "enfold.dropin", *arguments], capture_output=True, text=True, cwd=cwd, env=environment
    )


def test_every_library_is_ours_under_both_names() -> None:
    code = "import sys, json, importlib; names = sys.argv[1:]\n" + textwrap.dedent(
        """
        homes = {name: importlib.import_module(name).__name__ for name in names}
        same = all(importlib.import_module(home) is importlib.import_module(name) for name, home in homes.items())
        own = all(sys.modules[home].__spec__.name == home for home in homes.values())
        print(json.dumps([homes, same, own]))
        """
    )
    done = run("-c", code, *LIBRARIES)
    assert done.returncode == 0, done.stderr
    homes, same, own = json.loads(done.stdout)
    assert homes == {name: "enfold." + name.replace("huggingface_hub", "hub") for name in LIBRARIES}
    assert same and own


def test_versions_are_those_of_the_surface_offered() -> None:
    code = """
    import importlib.metadata as m, importlib.util as u, transformers, huggingface_hub
    assert transformers.__version__ == m.version("transformers") == "5.23.0"
    assert m.version("huggingface-hub") == m.version("huggingface_hub") == huggingface_hub.__version__
    assert m.metadata("tokenizers")["Name"] == "tokenizers"
    assert u.find_spec("datasets") is not None and u.find_spec("transformers.nothing_here") is None
    assert any(d.metadata["Name"] == "peft" for d in m.distributions())
    """
    done = run("-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stderr


def test_an_installed_original_is_never_reached(tmp_path: Path) -> None:
    (tmp_path / "transformers").mkdir()
    (tmp_path / "transformers" / "__init__.py").write_text("raise RuntimeError('the original')")
    (tmp_path / "transformers" / "extra.py").write_text("raise RuntimeError('the original')")
    code = "import transformers\ntry:\n    import transformers.extra\nexcept ModuleNotFoundError as e:\n    print(e)"
    done = run("-c", code, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "enfold" in done.stdout and "transformers.extra" in done.stdout


def test_a_missing_name_is_an_import_error_and_a_missing_module_names_enfold() -> None:
    code = """
    import transformers
    try:
        transformers.NoSuchModel
    except AttributeError as error:
        assert "NoSuchModel" in str(error)
    else:
        raise SystemExit("no AttributeError")
    try:
        from transformers import NoSuchModel
    except ImportError:
        pass
    try:
        import transformers.no_such_module
    except ModuleNotFoundError as error:
        assert "enfold" in str(error) and error.name == "transformers.no_such_module"
    """
    done = run("-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("transformers.models.bert.modeling_bert", "BertModel"),
        ("transformers.models.bert.configuration_bert", "BertConfig"),
        ("transformers.models.auto.modeling_auto", "AutoModel"),
        ("transformers.models.auto.tokenization_auto", "AutoTokenizer"),
        ("transformers.models.gpt2.modeling_gpt2", "GPT2LMHeadModel"),
        ("transformers.modeling_outputs", "BaseModelOutput"),
        ("transformers.configuration_utils", "PretrainedConfig"),
        ("transformers.tokenization_utils_base", "BatchEncoding"),
        ("transformers.trainer_utils", "EvalPrediction"),
        ("transformers.training_args", "TrainingArguments"),
        ("transformers.data.data_collator", "DataCollatorWithPadding"),
        ("transformers.generation.utils", "GenerationMixin"),
        ("transformers.pipelines.pt_utils", "KeyDataset"),
        ("transformers.optimization", "get_linear_schedule_with_warmup"),
        ("datasets.arrow_dataset", "Dataset"),
        ("datasets.exceptions", "DatasetGenerationError"),
        ("datasets.download.download_manager", "DownloadManager"),
        ("datasets.dataset_dict", "IterableDatasetDict"),
        ("datasets.iterable_dataset", "IterableDataset"),
        ("datasets.utils.version", "Version"),
        ("huggingface_hub.file_download", "hf_hub_download"),
        ("huggingface_hub.utils", "EntryNotFoundError"),
        ("peft.peft_model", "PeftModel"),
        ("peft.tuners.lora", "LoraConfig"),
        ("gradio.components", "Textbox"),
    ],
)
def test_deep_paths_resolve_by_rule(path: str, name: str) -> None:
    root = path.partition(".")[0]
    done = run("-c", f"from {path} import {name} as deep\nfrom {root} import {name} as top\nassert deep is top")
    inner = "EntryNotFoundError KeyDataset GenerationMixin BaseModelOutput EvalPrediction DatasetGenerationError"
    if name in inner.split():
        done = run("-c", f"from {path} import {name}\nassert {name}.__module__.startswith('enfold.')")
    assert done.returncode == 0, done.stderr


def test_child_processes_inherit_it(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent(
            """
            import multiprocessing, subprocess, sys, transformers

            def home(_):
                import datasets
                return datasets.__name__

            if __name__ == "__main__":
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    assert pool.map(home, [0]) == ["enfold.datasets"]
                code = "import transformers; print(transformers.__name__)"
                text = subprocess.check_output([sys.executable, "-c", code], text=True)
                assert text.strip() == "enfold.transformers", text
                assert sys.argv[1:] == ["--flag", "value"] and __file__ == sys.argv[0]
            """
        )
    )
    done = run(str(script), "--flag", "value", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_it_works_under_pytest(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import transformers\n\ndef test_ours():\n    assert transformers.__name__ == 'enfold.transformers'\n"
    )
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_missing_script_is_one_line() -> None:
    done = run("no_such_script.py")
    assert done.returncode == 1
    assert done.stderr.strip() == "enfold cannot run 'no_such_script.py': No such file or directory"


def test_importing_after_an_original_is_refused(tmp_path: Path) -> None:
    (tmp_path / "transformers.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", "import transformers, enfold.dropin"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode != 0 and "import enfold.dropin first" in done.stderr
