"""What a trainer is fed: which columns, in which order, in which batches."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler

from enfold.accelerate.data import skip_first_batches
from enfold.errors import nearest
from enfold.transformers.trainer.batches import (
    LengthGroupedSampler,
    LengthSortedSampler,
    build_loader,
    lengths_of,
    random_sampler,
)
from enfold.transformers.trainer.helpers import RemoveColumnsCollator
from enfold.transformers.trainer.losses import bare_model
from enfold.transformers.trainer.parts import Parts, TrainerError
from enfold.transformers.trainer.rebalancing import BatchRebalanceSampler

__all__ = ["Feeding"]


class Feeding(Parts):
    """The loaders of a trainer."""

    def _columns(self, dataset: Any) -> list[str] | None:
        """The columns of a data set that the model takes, or None where rows have no known columns."""
        names = getattr(dataset, "column_names", None)
        if not names:
            return None
        if not self.args.remove_unused_columns:
            return list(names)
        wanted = self._signature_columns()
        kept = [name for name in names if name in wanted]
        if not kept:
            hint = nearest(names[0], wanted)
            raise TrainerError(
                f"no column of the data set ({', '.join(names)}) is an argument of {type(self._bare_model()).__name__}."
                f"forward ({', '.join(wanted)}){hint or '.'} Tokenize it, or set remove_unused_columns=False"
            )
        return kept

    def _signature_columns(self) -> list[str]:
        found = list(inspect.signature(self._bare_model().forward).parameters)
        return list(dict.fromkeys([*found, "label", "label_ids", *self.label_names]))

    def _bare_model(self) -> nn.Module:
        return bare_model(self.accelerator.unwrap_model(self.model, keep_torch_compile=False))

    def _loader(self, dataset: Any, batch_size: int, sampler: Any, training: bool, skip: int = 0) -> DataLoader[Any]:
        args = self.args
        names = self._columns(dataset)
        collator = self.data_collator
        if names is None:
            if args.remove_unused_columns and not isinstance(dataset, IterableDataset):
                collator = RemoveColumnsCollator(collator, self._signature_columns())
        elif len(names) < len(dataset.column_names) and hasattr(dataset, "select_columns"):
            dataset = dataset.select_columns(names)
        shares, share = self.accelerator.data_place
        workers: dict[str, Any] = {
            "num_workers": args.dataloader_num_workers,
            "pin_memory": args.dataloader_pin_memory and args.device.type == "cuda",
        }
        if args.dataloader_num_workers:
            workers["persistent_workers"] = args.dataloader_persistent_workers
            workers["in_order"] = args.dataloader_in_order
            workers["prefetch_factor"] = args.dataloader_prefetch_factor
            workers["multiprocessing_context"] = args.dataloader_multiprocessing_context
        return build_loader(
            dataset,
            collator,
            batch_size=batch_size,
            sampler=sampler,
            columns=names,
            drop_last=args.dataloader_drop_last,
            skip=skip,
            num_processes=shares,
            process_index=share,
            # A loader draws one number as it begins: evaluating must not change what dropout does afterwards.
            generator=None if training else torch.Generator(),
            workers=workers,
        )

    def _input_name(self) -> str:
        names = getattr(self.processing_class, "model_input_names", None)
        return names[0] if names else "input_ids"

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Return the order in which training rows are read."""
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
            return None
        strategy = self.args.train_sampling_strategy
        seed = self.args.data_seed if self.args.data_seed is not None else self.args.seed
        if strategy == "sequential":
            return SequentialSampler(dataset)
        if strategy in ("group_by_length", "batch_rebalance"):
            lengths = lengths_of(dataset, self._input_name(), self.args.length_column_name)
            if lengths is None:
                raise TrainerError(f"rows cannot be grouped by length: they have no {self._input_name()!r}")
            size = self.args.train_batch_size * self.args.gradient_accumulation_steps
            if strategy == "group_by_length":
                return LengthGroupedSampler(size, lengths=lengths, seed=seed)
            shares, share = self.accelerator.data_place
            window, drops = self.args.gradient_accumulation_steps, self.args.dataloader_drop_last
            return BatchRebalanceSampler(lengths, size * shares, shares, window, True, seed, share, drops)
        return random_sampler(dataset, seed)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of training batches."""
        return self._train_loader(0)

    def _train_loader(self, skip: int) -> DataLoader[Any]:
        if self.train_dataset is None:
            raise TrainerError("training needs a train_dataset")
        dataset = self.train_dataset
        return self._loader(dataset, self.args.train_batch_size, self._get_train_sampler(), True, skip)

    def _skipping(self, loader: DataLoader[Any], batches: int) -> DataLoader[Any]:
        """Return the training loader without its first batches."""
        if type(self).get_train_dataloader is Feeding.get_train_dataloader:
            return self._train_loader(batches)
        return skip_first_batches(loader, batches)  # a loader of the user's own

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Return the loader of evaluation batches, in the order of the data set or sorted by length."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(dataset, str):
            dataset = self.eval_dataset[dataset]
        if dataset is None:
            raise TrainerError("evaluation needs an eval_dataset")
        sampler = None
        if self.args.train_sampling_strategy == "group_by_length" and hasattr(dataset, "__len__"):
            lengths = lengths_of(dataset, self._input_name(), self.args.length_column_name)
            # Results come back in the data set's order; over several processes rows would be dealt out differently.
            sampler = (
                LengthSortedSampler(lengths) if lengths is not None and self.accelerator.data_place[0] == 1 else None
            )
        return self._loader(dataset, self.args.eval_batch_size, sampler, False)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader[Any]:
        """Return the loader of batches to predict."""
        return self.get_eval_dataloader(test_dataset)

    def num_examples(self, dataloader: DataLoader[Any]) -> int:
        """Return how many rows a loader reads."""
        try:
            return len(dataloader.dataset)  # type: ignore[arg-type]
        except TypeError:
            return len(dataloader) * self.args.train_batch_size
