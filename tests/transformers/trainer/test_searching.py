"""Searching for hyperparameters with optuna."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from trainer_small import Net, rows, trainer

from enfold.transformers.trainer import Trainer, TrainingArguments
from enfold.transformers.trainer.searching import SearchError, default_hp_space_optuna


def searching(folder: Path, **options: Any) -> Trainer:
    def make(trial: Any) -> Net:
        torch.manual_seed(1)
        return Net(0.0)

    args = TrainingArguments(
        str(folder), num_train_epochs=1, use_cpu=True, save_strategy="no", disable_tqdm=True, **options
    )
    return Trainer(args=args, model_init=make, train_dataset=rows(), eval_dataset=rows(20))


def space(trial: Any) -> dict[str, Any]:
    return {"learning_rate": trial.suggest_float("learning_rate", 1e-6, 1e-1, log=True)}


def test_the_best_trial_is_returned_and_each_has_a_folder_of_its_own(tmp_path: Path) -> None:
    made = searching(tmp_path)
    best = made.hyperparameter_search(space, n_trials=4, sampler=optuna.samplers.RandomSampler(seed=0))
    assert not isinstance(best, list)
    assert 0 <= int(best.run_id) < 4 and best.hyperparameters.keys() == {"learning_rate"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"run-{number}" for number in range(4)]
    assert made.args.output_dir == str(tmp_path) and made.args.learning_rate == 5e-5
    again = trainer(tmp_path / "again", model=Net(0.0), num_train_epochs=1, eval_dataset=rows(20))
    again.args.learning_rate = best.hyperparameters["learning_rate"]
    assert isinstance(best.objective, float) and best.objective < again.evaluate()["eval_loss"]


def test_a_larger_objective_is_better_when_asked_for(tmp_path: Path) -> None:
    options: dict[str, Any] = {"n_trials": 3, "sampler": optuna.samplers.RandomSampler(seed=0)}
    names = []
    for direction in ("minimize", "maximize"):
        found = searching(tmp_path).hyperparameter_search(
            space,
            lambda metrics: metrics["eval_loss"],
            direction=direction,
            hp_name=lambda t: f"t{t.number}",
            **options,
        )
        assert not isinstance(found, list)
        names.append(found.run_id)
        options["sampler"] = optuna.samplers.RandomSampler(seed=0)
    assert names[0] != names[1] and (tmp_path / "t2").is_dir()


def test_several_objectives_give_all_that_are_best(tmp_path: Path) -> None:
    found = searching(tmp_path).hyperparameter_search(
        space, lambda m: (m["eval_loss"], m["eval_runtime"]), n_trials=3, direction=["minimize", "minimize"]
    )
    assert isinstance(found, list) and all(isinstance(best.objective, list) for best in found)


def test_a_trial_without_prospects_is_given_up(tmp_path: Path) -> None:
    class Always(optuna.pruners.BasePruner):
        def prune(self, study: Any, trial: Any) -> bool:
            return trial.number > 0

    made = searching(tmp_path, eval_strategy="steps", eval_steps=1)
    study: dict[str, Any] = {"pruner": Always(), "study_name": "s", "storage": f"sqlite:///{tmp_path}/trials.db"}
    made.hyperparameter_search(space, n_trials=3, **study)
    trials = optuna.load_study(study_name="s", storage=study["storage"]).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "PRUNED"]


def test_what_a_search_needs_is_named(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="model_init"):
        trainer(tmp_path).hyperparameter_search()
    with pytest.raises(SearchError, match="not with ray"):
        searching(tmp_path).hyperparameter_search(backend="ray")


def test_the_usual_space_is_that_of_the_ecosystem() -> None:
    study = optuna.create_study()
    chosen = default_hp_space_optuna(study.ask())
    assert 1e-6 <= chosen["learning_rate"] <= 1e-4 and chosen["per_device_train_batch_size"] in (4, 8, 16, 32, 64)
