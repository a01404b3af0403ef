"""The training loop: epochs, windows of batches, updates, and what is done between them."""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from enfold.accelerate.operations import gather
from enfold.accelerate.parallel import axis_of
from enfold.errors import nearest
from enfold.log import get_logger
from enfold.transformers.trainer import persistence, publishing, searching, sharding
from enfold.transformers.trainer.batches import set_epoch
from enfold.transformers.trainer.bookkeeping import flops_per_token
from enfold.transformers.trainer.callbacks import TrainerControl, TrainerState
from enfold.transformers.trainer.feeding import Feeding
from enfold.transformers.trainer.losses import label_items, predicts_next_token
from enfold.transformers.trainer.memory import BatchTooLarge, MemoryMeter, batch_rows, halved, is_out_of_memory
from enfold.transformers.trainer.outcomes import SaveStrategy, TrainOutput, speed_metrics
from enfold.transformers.trainer.parts import STAGES, NonFiniteLoss, TrainerError
from enfold.transformers.trainer.schedules import follows_a_metric

__all__ = ["Loop"]

logger = get_logger(__name__)


class Loop(Feeding):
    """The loop of a trainer."""

    def _window_weights(self, batches: list[Any]) -> tuple[list[float], Any]:
        """Say how much each batch of a window counts, so that their sum is the mean over all labels of the window.

        The mean of each batch times its share of the labels is the same loss that one large batch would have, however
        the labels are spread over batches and processes. Where nothing is labelled, rows count instead.
        """
        counts = [label_items(_labels(batch), self._shifts) for batch in batches]
        total: float = sum(counts)
        world = self.accelerator.data_place[0]
        if world > 1 and self.args.average_tokens_across_devices:
            total = int(sharding.gather_shares(self, torch.tensor([total], device=self.args.device)).sum())
        if total > 0 and (self.compute_loss_func is not None or self.loss_is_scaled_for_ga):
            return [float(world)] * len(batches), torch.tensor(total, device=self.args.device)
        if len(batches) == 1 and (world == 1 or not self.args.average_tokens_across_devices):
            return [1.0], None
        if total <= 0:
            counts = [batch_rows(batch) or 1 for batch in batches]
            total, world = sum(counts), 1
        if world > 1 and not self.args.average_tokens_across_devices:
            world = 1
        return [count * world / total for count in counts], None

    def _plan(self, loader: DataLoader[Any]) -> tuple[int | None, int, int, int]:
        """Return batches per epoch, updates per epoch, updates in all, and epochs."""
        args = self.args
        try:
            batches: int | None = len(loader)
        except TypeError:
            batches = None
        if not batches:
            if batches == 0:
                raise TrainerError("the train_dataset gives no batch: it is empty, or smaller than one dropped batch")
            if args.max_steps <= 0:
                raise TrainerError("a stream has no length: set max_steps")
            return None, args.max_steps, args.max_steps, sys.maxsize
        updates = max(math.ceil(batches / args.gradient_accumulation_steps), 1)
        if args.max_steps > 0:
            return batches, updates, args.max_steps, math.ceil(args.max_steps / updates)
        return batches, updates, math.ceil(args.num_train_epochs * updates), math.ceil(args.num_train_epochs)

    def _train(self, folder: str | None, ignore_keys: list[str] | None) -> TrainOutput:
        args = self.args
        loader = self.get_train_dataloader()
        batches, updates, max_steps, epochs = self._plan(loader)
        if args.gradient_checkpointing:
            self._enable_checkpointing()
        if self._own_scheduler:
            self.lr_scheduler = None  # an earlier training's schedule was of its own length
        sharding.cut(self)  # an optimizer is made of the parameters that a process holds
        self.create_optimizer_and_scheduler(max_steps)
        model = self.model_wrapped = self._wrapped()
        self.state = TrainerState(train_batch_size=args.train_batch_size)
        restored = persistence.restore(self, folder) if folder is not None else None
        if restored is not None:
            self.compare_trainer_and_checkpoint_args(args, restored)
            self.state = restored
            if args.restore_callback_states_from_checkpoint:
                self._restore_callbacks()
        state = self.state
        state.compute_steps(args, max_steps)
        state.max_steps, state.num_train_epochs = max_steps, epochs
        state.is_local_process_zero = self.is_local_process_zero()
        state.is_world_process_zero = self.is_world_process_zero()
        first_step = state.global_step
        first_epoch, done = divmod(first_step, updates)
        if args.ignore_data_skip:
            done = 0
        self.callback_handler.given.update(
            model=self.model, optimizer=self.optimizer, lr_scheduler=self.lr_scheduler, train_dataloader=loader
        )
        self.control = TrainerControl()
        self.timings = dict.fromkeys(STAGES, 0.0)
        self._shifts = predicts_next_token(self._bare_model())
        self._flops = flops_per_token(self._bare_model())
        self._main_input = getattr(self._bare_model(), "main_input_name", "input_ids")
        self._loss_sum, self._loss_total, self._last_log = torch.zeros((), device=args.device), 0.0, first_step
        self._grad_norm: Any = None
        self._fitting_rows = 0
        persistence.sweep(self)
        self._meter = MemoryMeter(args.skip_memory_metrics)
        start = time.time()
        self._event("on_train_begin")
        if args.eval_on_start:
            self._evaluate(ignore_keys)
        model.train()
        for epoch in range(first_epoch, epochs):
            skipped = done * args.gradient_accumulation_steps if epoch == first_epoch else 0
            reader = loader
            if skipped and batches is not None:
                reader = self._skipping(loader, skipped)
            set_epoch(reader, epoch)
            self.control._new_epoch()
            self._event("on_epoch_begin")
            self._epoch(model, reader, epoch, skipped, batches, folder if epoch == first_epoch else None, ignore_keys)
            if self.control.should_training_stop:
                break
        return self._finish(start, first_step, batches)

    def _wrapped(self) -> nn.Module:
        """The model as it is called in training: compiled, and exchanging gradients where there are processes."""
        model: Any = self.model
        if self.args.torch_compile or self.args.torch_compile_backend:
            model = torch.compile(
                model, backend=self.args.torch_compile_backend or "inductor", mode=self.args.torch_compile_mode
            )
        if self.accelerator.data_place[0] > 1 and self.accelerator.fsdp_plugin is None:
            replicas = axis_of(self.accelerator.torch_device_mesh, "dp_replicate")
            devices = [self.args.device] if self.args.device.type == "cuda" else None
            given = {
                "find_unused_parameters": self.args.ddp_find_unused_parameters,
                "bucket_cap_mb": self.args.ddp_bucket_cap_mb,
                "broadcast_buffers": self.args.ddp_broadcast_buffers,
                "static_graph": self.args.ddp_static_graph,
            }
            chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
            model = nn.parallel.DistributedDataParallel(
                model, device_ids=devices, process_group=None if replicas is None else replicas.get_group(), **chosen
            )
        return model

    def _enable_checkpointing(self) -> None:
        enable = getattr(self.model, "gradient_checkpointing_enable", None)
        if enable is None:
            raise TrainerError(
                f"{type(self._bare_model()).__name__} cannot recompute activations (gradient_checkpointing)"
            )
        kwargs = self.args.gradient_checkpointing_kwargs
        enable(gradient_checkpointing_kwargs=kwargs) if kwargs else enable()

    def _restore_callbacks(self) -> None:
        stored = self.state.stateful_callbacks
        for callback in self.callback_handler.callbacks:
            found = stored.get(type(callback).__name__)
            for kept in found if isinstance(found, list) else [found] if found else []:
                vars(callback).update({**kept["args"], **kept["attributes"]})

    def _epoch(
        self,
        model: nn.Module,
        loader: DataLoader[Any],
        epoch: int,
        skipped: int,
        batches: int | None,
        folder: str | None,
        ignore_keys: list[str] | None,
    ) -> None:
        """Go through the data once; ``skipped`` batches of it were done before, and leave no trace."""
        args, state = self.args, self.state
        # A loader draws a seed from torch's generator as it begins: in the first run this was before the checkpoint
        # when that was written inside the epoch, and after it when it was written between two.
        if folder is not None and not skipped:
            persistence.restore_rng(folder, args.world_size, args.process_index)
        source: Iterator[Any] = iter(loader)
        if batches is None:  # a stream: read again what was read before
            for _ in itertools.islice(source, skipped):
                pass
        if folder is not None and skipped:
            persistence.restore_rng(folder, args.world_size, args.process_index)
        step = skipped
        in_epoch = batches if batches is not None else state.max_steps * args.gradient_accumulation_steps
        clock = time.perf_counter
        while True:
            begun = clock()
            group, _ = self.get_batch_samples(source, args.gradient_accumulation_steps, args.device)
            self.timings["data"] += clock() - begun
            if not group:
                break
            self.control._new_step()
            self._event("on_step_begin")
            self._window(model, group)
            step += len(group)
            self._update(model)
            state.global_step += 1
            state.epoch = epoch + step / in_epoch
            self._event("on_step_end")
            self._act(ignore_keys)
            if self.control.should_epoch_stop or self.control.should_training_stop:
                break
        if step == skipped and not skipped:
            logger.warning("the data ended before the first batch of epoch %d: training stops", epoch)
            self.control.should_training_stop = True
        self._event("on_epoch_end")
        self._act(ignore_keys)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device | None = None
    ) -> tuple[list[Any], Any]:
        """Return the batches of the next window, and how many labels count in it (None without labels)."""
        group = list(itertools.islice(epoch_iterator, num_batches))
        items = sum(label_items(_labels(batch), self._shifts) for batch in group)
        return group, items or None

    def _window(self, model: nn.Module, group: list[Any]) -> None:
        """Compute the gradients of one update; batches that do not fit memory are cut in two, and again."""
        args, fits = self.args, self._fitting_rows
        while True:
            parts = [part for batch in group for part in halved(batch, fits)] if fits else group
            try:
                losses = self._accumulate(model, parts)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                rows = max(batch_rows(part) for part in parts)
                if not args.auto_find_batch_size or rows <= 1:
                    raise BatchTooLarge.of(parts, args) from error
                fits = self._fitting_rows = rows // 2
                self.optimizer.zero_grad()  # type: ignore[union-attr]
                gc.collect()
                if args.device.type == "cuda":
                    torch.cuda.empty_cache()
                logger.warning("%d rows do not fit memory: each batch is computed %d rows at a time", rows, fits)
        for loss in losses:
            self._add_loss(loss)
        for batch in group:
            self._count_tokens(batch)

    def _accumulate(self, model: nn.Module, group: list[Any]) -> list[Tensor]:
        """Add up the gradients of a window's batches; return what each adds to the window's loss."""
        weights, items = self._window_weights(group)
        losses = []
        for index, inputs in enumerate(group):
            last = index == len(group) - 1
            if weights[index] == 0.0 and self.accelerator.data_place[0] == 1:
                continue  # no label counts: the mean over none is not a number
            self._batch_weight = weights[index]
            with contextlib.nullcontext() if last else self.accelerator.no_sync(model):
                loss = self.training_step(model, inputs, items)
            self._check_finite(loss, inputs)
            losses.append(loss)
            if not last:
                self._event("on_substep_end")
        return losses

    def _check_finite(self, loss: Tensor, inputs: Any) -> None:
        """Stop before a loss that is no number reaches the weights; float16's loss scale copes by itself."""
        if not self.args.logging_nan_inf_filter or self.accelerator.scaler is not None or torch.isfinite(loss).all():
            return
        raise NonFiniteLoss.at(self.state.global_step + 1, float(loss), self._learns_from(inputs), self.args.output_dir)

    def _learns_from(self, inputs: Any) -> str:
        shapes = [f"{name} {tuple(value.shape)}" for name, value in inputs.items() if isinstance(value, Tensor)]
        counted = label_items(_labels(inputs), self._shifts)
        none = "; no label of it counts" if _labels(inputs) is not None and not counted else ""
        return f"{', '.join(shapes)}{none}"

    def _add_loss(self, loss: Tensor) -> None:
        if self.args.logging_nan_inf_filter and not torch.isfinite(loss):
            # Count it as the mean of the others since the last log.
            loss = self._loss_sum / (1 + self.state.global_step - self._last_log)
        self._loss_sum = self._loss_sum + loss

    def _update(self, model: nn.Module) -> None:
        """Clip, step, advance the schedule, clear the gradients."""
        args, scaler = self.args, self.accelerator.scaler
        assert self.optimizer is not None and self.lr_scheduler is not None
        begun = time.perf_counter()
        if scaler is not None:
            scaler.unscale_(self.optimizer)
        self._grad_norm = None
        moved = getattr(self.optimizer, "moves_in_backward", False)  # and the gradients are gone
        if args.max_grad_norm and args.max_grad_norm > 0 and not moved:
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            norm: Any = nn.utils.clip_grad_norm_(parameters, args.max_grad_norm)
            self._grad_norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        self._event("on_pre_optimizer_step")
        skipped = False
        if scaler is not None:
            before = scaler.get_scale()
            scaler.step(self.optimizer)
            scaler.update()
            skipped = scaler.get_scale() < before
        else:
            self.optimizer.step()
        self._event("on_optimizer_step")
        self._rate = self.get_learning_rates()[0]
        if not skipped and not follows_a_metric(self.lr_scheduler):
            self.lr_scheduler.step()
        self.optimizer.zero_grad()
        every = args.torch_empty_cache_steps
        if every and args.device.type == "cuda" and self.state.global_step % every == 0:
            torch.cuda.empty_cache()
        self.timings["optimizer"] += time.perf_counter() - begun

    def _count_tokens(self, inputs: Any) -> None:
        main = inputs.get(self._main_input) if hasattr(inputs, "get") else None
        if not isinstance(main, Tensor):
            return
        self.state.total_flos += self._flops * main.numel()
        how = self.args.include_num_input_tokens_seen
        if how != "no":
            mask = inputs.get("attention_mask") if how == "non_padding" else None
            count = int(mask.sum()) if isinstance(mask, Tensor) else main.numel()
            if self.args.world_size > 1:
                count = int(sharding.gather_shares(self, torch.tensor([count], device=self.args.device)).sum())
            self.state.num_input_tokens_seen += count

    def _act(self, ignore_keys: list[str] | None) -> None:
        """Log, evaluate and save where the control says so."""
        state, control = self.state, self.control
        if control.should_log and state.global_step > self._last_log:
            total = self._loss_sum
            if self.args.world_size > 1:
                total = gather(total.reshape(1)).mean()
            value = float(total)
            logs: dict[str, Any] = {"loss": value / (state.global_step - self._last_log)}
            if self._grad_norm is not None:
                logs["grad_norm"] = float(self._grad_norm)
            logs["learning_rate"] = self._rate
            self._loss_total += value
            self._loss_sum = torch.zeros_like(self._loss_sum)
            self._last_log = state.global_step
            self.log(logs)
        if control.should_evaluate:
            better = self._evaluate(ignore_keys)
            if self.args.save_strategy == SaveStrategy.BEST:
                control.should_save = better
        if control.should_save:
            begun = time.perf_counter()
            self._check_weights()
            folder = persistence.save_checkpoint(self)
            self.timings["saving"] += time.perf_counter() - begun
            if self.args.push_to_hub:
                publishing.push_checkpoint(self, folder)
            self._event("on_save")
        control._new_step()

    def _check_weights(self) -> None:
        """Refuse to write weights that are no numbers, which would push a good checkpoint out of its place."""
        if not self.args.logging_nan_inf_filter:
            return
        for name, parameter in self.model.named_parameters():
            own: Any = parameter
            part = own.to_local() if hasattr(own, "to_local") else own
            if parameter.requires_grad and not torch.isfinite(part).all():
                raise NonFiniteLoss.at(
                    self.state.global_step, math.nan, f"parameter {name} is not finite", self.args.output_dir
                )

    def _evaluate(self, ignore_keys: list[str] | None) -> bool:
        """Evaluate in the middle of training; return whether it was the best so far."""
        begun = time.perf_counter()
        metrics = self.evaluate(ignore_keys=ignore_keys)
        self.timings["evaluation"] += time.perf_counter() - begun
        name = self.args.metric_for_best_model
        searching.report(self, metrics)  # type: ignore[arg-type]
        if follows_a_metric(self.lr_scheduler):
            watched = f"eval_{(name or 'loss').removeprefix('eval_')}"
            self.lr_scheduler.step(metrics[watched])
        if name is None:
            return False
        name = name if name.startswith("eval_") else f"eval_{name}"
        if name not in metrics:
            raise TrainerError(
                f"metric_for_best_model {name!r} is not among {', '.join(metrics)}{nearest(name, metrics)}"
            )
        value, best = metrics[name], self.state.best_metric
        if best is None or (value > best if self.args.greater_is_better else value < best):
            self.state.best_metric, self.state.best_global_step = value, self.state.global_step
            return True
        return False

    def _finish(self, start: float, first_step: int, batches: int | None) -> TrainOutput:
        args, state = self.args, self.state
        self._optimizer_trains(False)  # before the best weights are put in their place
        self._loss_total += float(self._loss_sum)
        steps = state.global_step - first_step
        loss = self._loss_total / max(steps, 0.001)
        size = self.get_total_train_batch_size(args)
        rows = len(self.train_dataset) if batches is not None else 0
        planned = state.max_steps * size if args.max_steps > 0 or not rows else rows * args.num_train_epochs
        metrics = speed_metrics("train", start, planned * steps / max(state.max_steps, 1), steps)
        if args.include_num_input_tokens_seen != "no":
            rate = state.num_input_tokens_seen / max(time.time() - start, 1e-9)
            metrics["train_tokens_per_second"] = round(rate, 3)
        metrics["total_flos"] = state.total_flos
        metrics["train_loss"] = loss
        self._meter.add_to("train", metrics)
        metrics.update({f"train_{what}_seconds": round(seconds, 4) for what, seconds in self.timings.items()})
        self.log(metrics)
        if args.load_best_model_at_end and state.best_model_checkpoint is not None:
            if os.path.isdir(state.best_model_checkpoint):
                persistence.load_model(self.accelerator.unwrap_model(self.model), state.best_model_checkpoint)
            else:
                logger.warning("the best checkpoint %s is gone: the last model stays", state.best_model_checkpoint)
        if args.should_save and args.save_total_limit == 1 and state.best_model_checkpoint:
            persistence.rotate(args.output_dir or "", 1, state.best_model_checkpoint)
        self._event("on_train_end")
        return TrainOutput(state.global_step, loss, metrics)


def _labels(batch: Any) -> Any:
    """What the labels of a batch are counted in."""
    if not hasattr(batch, "get"):
        return None
    return batch.get("labels")
