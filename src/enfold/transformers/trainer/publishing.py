"""Sharing a trained model: its card, and the upload to the Hub."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from enfold.transformers.trainer.losses import bare_model
from enfold.transformers.trainer.outcomes import CHECKPOINT_PREFIX, HubStrategy

if TYPE_CHECKING:
    from enfold.transformers.trainer.parts import Parts

__all__ = ["create_model_card", "push_to_hub", "repository"]


def repository(trainer: Parts, token: str | None = None) -> str:
    """Make the repository that the arguments name, or the output folder's name, and return its id."""
    from enfold.hub import HfApi

    args = trainer.args
    name = args.hub_model_id or os.path.basename(os.path.normpath(args.output_dir or "trainer_output"))
    made = HfApi(token=token or args.hub_token).create_repo(name, private=args.hub_private_repo, exist_ok=True)
    return getattr(made, "repo_id", None) or name


def create_model_card(
    trainer: Parts,
    language: str | None = None,
    license: str | None = None,
    tags: str | list[str] | None = None,
    model_name: str | None = None,
    finetuned_from: str | None = None,
    tasks: str | list[str] | None = None,
    dataset_tags: str | list[str] | None = None,
    dataset: str | list[str] | None = None,
    dataset_args: str | list[str] | None = None,
) -> None:
    """Write ``README.md`` into the output folder: what was trained, how, and what came of it."""
    import yaml

    args = trainer.args
    assert args.output_dir is not None
    base = finetuned_from or _base_name(trainer.model)
    head: dict[str, Any] = {
        "library_name": "peft" if hasattr(trainer.model, "peft_config") else "transformers",
        "language": language,
        "license": license,
        "base_model": base,
        "pipeline_tag": tasks if isinstance(tasks, str) else None,
        "tags": [tags] if isinstance(tags, str) else [*(tags or []), "generated_from_trainer"],
        "datasets": [dataset_tags] if isinstance(dataset_tags, str) else dataset_tags,
    }
    front = yaml.safe_dump({name: value for name, value in head.items() if value}, sort_keys=False).strip()
    name = model_name or os.path.basename(os.path.normpath(args.output_dir))
    origin = f"A fine-tuned version of `{base}`" if base else "A model trained from scratch"
    data = f" on {dataset if isinstance(dataset, str) else ', '.join(dataset)}" if dataset else ""
    lines = ["---", front, "---", "", f"# {name}", "", f"{origin}{data}.", ""]
    evaluations = [log for log in trainer.state.log_history if any(key.startswith("eval_") for key in log)]
    if evaluations:
        last = {key: value for key, value in evaluations[-1].items() if _is_result(key)}
        lines += ["## Results on the evaluation set", "", "| measure | value |", "|---|---|"]
        lines += [f"| {key.removeprefix('eval_')} | {value:.4f} |" for key, value in last.items()] + [""]
    shown = (
        "learning_rate per_device_train_batch_size gradient_accumulation_steps num_train_epochs max_steps weight_decay "
        "lr_scheduler_type warmup_steps optim seed bf16 fp16"
    ).split()
    lines += ["## Training", "", "| argument | value |", "|---|---|"]
    lines += [f"| {key} | {getattr(args, key)} |" for key in shown]
    from enfold.transformers.trainer.persistence import write_text

    os.makedirs(args.output_dir, exist_ok=True)
    write_text(os.path.join(args.output_dir, "README.md"), "\n".join(lines) + "\n")


def _is_result(key: str) -> bool:
    return key.startswith("eval_") and not key.endswith(("_runtime", "_per_second"))


def _base_name(model: Any) -> str | None:
    inner = bare_model(model)
    return vars(inner).get("name_or_path") or getattr(getattr(inner, "config", None), "_name_or_path", None) or None


def push_to_hub(
    trainer: Parts,
    commit_message: str | None = "End of training",
    blocking: bool = True,
    token: str | None = None,
    revision: str | None = None,
    **card: Any,
) -> Any:
    """Save the model, write its card, and upload both.

    Args:
        trainer: what was trained.
        commit_message: message of the commit.
        blocking: accepted; the upload is always waited for.
        token: of the Hub; by default that of the arguments.
        revision: branch to write to.
        card: arguments of :func:`create_model_card`.

    Returns:
        What the Hub answers about the commit.
    """
    trainer.save_model(_internal_call=True)
    if not trainer.args.should_save:
        return None
    create_model_card(trainer, **card)
    return _upload(trainer, commit_message or "End of training", token, revision)


def push_checkpoint(trainer: Parts, folder: str) -> None:
    """Upload after a checkpoint was written, as far as ``hub_strategy`` says."""
    strategy = trainer.args.hub_strategy
    if strategy == HubStrategy.END or not trainer.args.should_save:
        return
    trainer.save_model(_internal_call=True)
    step = f"step {trainer.state.global_step}"
    _upload(trainer, f"Training in progress, {step}", None, trainer.args.hub_revision)
    if strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS):
        name = "last-checkpoint" if strategy == HubStrategy.CHECKPOINT else os.path.basename(folder)
        _upload(trainer, f"Checkpoint, {step}", None, trainer.args.hub_revision, folder, name)


def _upload(
    trainer: Parts,
    message: str,
    token: str | None,
    revision: str | None,
    folder: str | None = None,
    path: str | None = None,
) -> Any:
    from enfold.hub import HfApi

    args = trainer.args
    trainer.control = trainer._event("on_push_begin")
    extra = {} if folder else {"ignore_patterns": ["_*", ".*", f"{CHECKPOINT_PREFIX}-*"]}
    return HfApi(token=token or args.hub_token).upload_folder(
        repo_id=repository(trainer, token),
        folder_path=folder or args.output_dir,
        path_in_repo=path,
        commit_message=message,
        revision=revision or args.hub_revision,
        **extra,
    )
