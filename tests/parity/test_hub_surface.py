"""Every name of the official client since 0.36 is there with its arguments, and all that other libraries import.

``python tests/parity/test_hub_surface.py FOLDER`` writes the golden names anew from the peers' environments; FOLDER
holds further libraries (unpacked wheels) that import from the client.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import enfold.hub as hub
from enfold.addresses import locate

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "hub_surface_golden.json"
VERSIONS = {"2.4": "models", "1.33": "hub-1.33", "0.36": "hub-0.36"}
LIBRARIES = ("accelerate", "datasets", "evaluate", "gradio_client", "peft", "transformers", "trl")
WRITE = """
import inspect, json
import huggingface_hub
def arguments(function):
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [p.name for p in found if p.name != "self" and not p.kind.name.startswith("VAR_")]
found = {}
for name in huggingface_hub.__all__:
    value = getattr(huggingface_hub, name, None)
    found[name] = arguments(value) if inspect.isfunction(value) or inspect.ismethod(value) else None
api = huggingface_hub.HfApi
found["HfApi"] = sorted(n for n in dir(api) if not n.startswith("_"))
fs = huggingface_hub.HfFileSystem
found["HfFileSystem"] = sorted(n for n in vars(fs) if not n.startswith("_"))
print(json.dumps(found))
"""

# What is not offered, by reason.
ABSENT = {
    "a service of the public Hub alone: jobs, sandboxes, endpoints, papers, leaderboards, hardware and its quota": """
        JobAccelerator JobDurations JobHardware JobHardwareInfo JobInfo JobInitiator JobNetwork JobOwner JobStage
        JobStatus Sandbox SandboxCommandResult SandboxPool SandboxProcess InferenceCatalogModel InferenceCatalogRecipe
        InferenceEndpoint InferenceEndpointError InferenceEndpointHardware InferenceEndpointStatus
        InferenceEndpointTimeoutError InferenceEndpointType DatasetLeaderboardEntry SpaceSearchResult SpaceTemplate
        Volume ZeroGpuQuota cancel_job create_inference_endpoint create_inference_endpoint_from_catalog
        create_scheduled_job create_scheduled_uv_job delete_inference_endpoint delete_scheduled_job fetch_job_logs
        fetch_job_metrics get_dataset_leaderboard get_inference_endpoint get_zero_gpu_quota inspect_job
        inspect_scheduled_job list_daily_papers list_inference_catalog list_inference_endpoints
        list_inference_endpoints_hardware list_jobs list_jobs_hardware list_papers list_scheduled_jobs
        list_space_templates list_spaces_hardware paper_info pause_inference_endpoint read_paper rerun_job
        resume_inference_endpoint resume_scheduled_job run_job run_uv_job scale_to_zero_inference_endpoint search_spaces
        delete_space_volumes set_space_volumes suspend_scheduled_job sync_job_volume trigger_scheduled_job
        update_inference_endpoint update_job_expose update_job_labels update_scheduled_job_labels
        update_scheduled_job_schedule wait_for_job update_collection_resource_group upload_attachment
        enable_space_dev_mode disable_space_dev_mode fetch_space_logs delete_space_storage request_space_storage
        InferenceApi list_inference_catalog""",
    "buckets and kernels, kinds of storage that our Hub does not have": """
        BucketFile BucketFileMetadata BucketFolder BucketInfo BucketUrl SyncOperation SyncPlan batch_bucket_files
        bucket_info copy_files create_bucket delete_bucket download_bucket_files get_bucket_file_metadata
        get_bucket_paths_info list_bucket_tree list_buckets move_bucket sync_bucket update_bucket_settings KernelInfo
        kernel_info HfFileSystemResolvedBucketPath""",
    "frameworks that are not here: fastai, Keras, TensorFlow, TensorBoard": """
        _save_pretrained_fastai from_pretrained_fastai push_to_hub_fastai HFSummaryWriter KerasModelHubMixin
        from_pretrained_keras push_to_hub_keras save_pretrained_keras split_tf_state_dict_into_shards
        get_tf_storage_size""",
    "for the client's own command and agents": """
        Agent MCPClient ASYNC_CLIENT_FACTORY_T CLIENT_FACTORY_T HTTP_METHOD_T check_cli_update typer_factory
        dump_environment_info BACKEND_FACTORY_T configure_http_backend OutputFormat out""",
    "signing visitors of a Space in by the public Hub": """
        OAuthInfo OAuthOrgInfo OAuthUserInfo attach_huggingface_oauth parse_huggingface_oauth""",
    "removed by the client itself, with what it stood for": """
        Repository get_session_with_backend duplicate_space DuplicatedRepoUrl push_to_hub_legacy
        list_lfs_files_legacy""",
    "files and tables not read or written here yet": """
        DDUFEntry export_entries_as_dduf export_folder_as_dduf read_dduf_file EvalResultEntry
        eval_result_entries_to_yaml parse_eval_result_entries list_dataset_parquet_files""",
    "checks of a library's own dataclasses": "StrictDataclassError as_validated_field strict validate_typed_dict",
}
ABSENT_NAMES = {name for names in ABSENT.values() for name in names.split()}
# Arguments of services of the public Hub, and those that choose what is always so here.
OTHER_ARGUMENTS = {"resource_group_id", "region", "space_volumes", "space_template", "secrets", "_hot_reload"}
OTHER_ARGUMENTS |= {"xet_enabled", "tqdm_class"}


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text())


def _lacking(wanted: list[str], function: Any) -> list[str]:
    found = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in found):
        return []
    return [name for name in wanted if name not in {parameter.name for parameter in found} | OTHER_ARGUMENTS]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_is_there_with_its_arguments(version: str, golden: dict[str, Any]) -> None:
    names = golden[version]
    assert [name for name in names if not hasattr(hub, name) and name not in ABSENT_NAMES] == []
    lacking = {
        name: missing
        for name, wanted in names.items()
        if isinstance(wanted, list)
        and name not in ("HfApi", "HfFileSystem")
        and name in hub.__all__
        and (missing := _lacking(wanted, getattr(hub, name)))
    }
    assert lacking == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_method_is_there(version: str, golden: dict[str, Any]) -> None:
    for cls in (hub.HfApi, hub.HfFileSystem):
        wanted = golden[version][cls.__name__]
        assert [name for name in wanted if not hasattr(cls, name) and name not in ABSENT_NAMES] == [], cls


def test_what_other_libraries_import_is_there(golden: dict[str, Any]) -> None:
    lacking = []
    for module, names in golden["imports"].items():
        home = locate(module)
        for name in names:
            if name in ABSENT_NAMES:
                continue
            if home is None:
                lacking.append(f"{module}.{name}")
                continue
            try:
                found = hasattr(importlib.import_module(home), name) or importlib.import_module(f"{home}.{name}")
            except ImportError:
                found = False
            lacking += [] if found else [f"{module}.{name}"]
    assert lacking == []
    assert sum(map(len, golden["imports"].values())) > 80


def test_what_is_offered_needs_no_exception() -> None:
    assert sorted(ABSENT_NAMES & set(hub.__all__)) == []


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.parametrize("version", VERSIONS)
def test_the_golden_names_are_the_clients(version: str, golden: dict[str, Any], peer: Callable[..., Any]) -> None:
    assert peer(WRITE, environment=VERSIONS[version]) == golden[version]


def imports(folders: list[Path]) -> dict[str, list[str]]:
    """Return module → the names that the Python files below ``folders`` import from it, for the client's modules."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in (file for folder in folders for file in folder.rglob("*.py")):
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.ImportFrom)
                and not node.level
                and (node.module or "").startswith("huggingface_hub")
            ):
                found[str(node.module)].update(alias.name for alias in node.names)
    return {module: sorted(names) for module, names in sorted(found.items())}


if __name__ == "__main__":
    peers = HERE.parents[1] / ".peers"
    written: dict[str, Any] = {}
    for version, environment in VERSIONS.items():
        python = peers / environment / "bin" / "python"
        done = subprocess.run([python, "-c", WRITE], capture_output=True, text=True, check=True)
        written[version] = json.loads(done.stdout.splitlines()[-1])
    site = next((peers / "models" / "lib").glob("python3*/site-packages"))
    written["imports"] = imports([site / name for name in LIBRARIES] + [Path(more) for more in sys.argv[1:]])
    GOLDEN.write_text(json.dumps(written, indent=0, sort_keys=True) + "\n")
