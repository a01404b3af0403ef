"""What each of several processes reads of one data set, for programs with loops of their own."""

from __future__ import annotations

import contextlib
import enum
import math
from collections.abc import Iterator, Sequence, Sized
from typing import Any

import torch
from torch.utils.data import Sampler

from enfold.transformers.trainer.batches import LengthGroupedSampler, length_grouped_indices

__all__ = [
    "DistributedLengthGroupedSampler",
    "ParallelMode",
    "ShardSampler",
    "torch_distributed_zero_first",
]


class ParallelMode(str, enum.Enum):
    """How several devices work together."""

    NOT_PARALLEL = "not_parallel"
    NOT_DISTRIBUTED = "not_distributed"
    DISTRIBUTED = "distributed"
    SAGEMAKER_MODEL_PARALLEL = "sagemaker_model_parallel"
    SAGEMAKER_DATA_PARALLEL = "sagemaker_data_parallel"
    TPU = "tpu"


def _filled(order: list[int], size: int) -> list[int]:
    """Return the first ``size`` of an order that begins anew where it ends."""
    return (order * math.ceil(size / max(len(order), 1)))[:size]


class ShardSampler(Sampler[int]):
    """Gives each process every n-th batch of rows in their order; what is missing at the end comes from the beginning.

    Args:
        dataset: has a length.
        batch_size: rows of a process's batch.
        drop_last: leave out rows that do not fill a batch of every process.
        num_processes, process_index: how many processes there are, and which of them this is.

    Example:
        >>> list(ShardSampler(range(10), batch_size=2, num_processes=2, process_index=1))
        [2, 3, 6, 7, 0, 1]
    """

    def __init__(
        self,
        dataset: Sized,
        batch_size: int = 1,
        drop_last: bool = False,
        num_processes: int = 1,
        process_index: int = 0,
    ) -> None:
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.num_processes, self.process_index = num_processes, process_index
        self.total_batch_size = batch_size * num_processes
        batches = len(dataset) / self.total_batch_size
        self.total_num_samples = (math.floor(batches) if drop_last else math.ceil(batches)) * self.total_batch_size

    def __iter__(self) -> Iterator[int]:
        order = _filled(list(range(len(self.dataset))), self.total_num_samples)
        first = self.batch_size * self.process_index
        for start in range(first, self.total_num_samples, self.total_batch_size):
            yield from order[start : start + self.batch_size]

    def __len__(self) -> int:
        return self.total_num_samples // self.num_processes


class DistributedLengthGroupedSampler(LengthGroupedSampler):
    """Reads rows of similar length together, every n-th of them in each process.

    Args:
        batch_size, dataset, lengths, model_input_name, seed: as of :class:`LengthGroupedSampler`.
        num_replicas, rank: how many processes there are, and which of them this is; by default torch's.
        drop_last: leave out rows that would give some process one more than others.
    """

    def __init__(
        self,
        batch_size: int,
        dataset: Any = None,
        num_replicas: int | None = None,
        rank: int | None = None,
        seed: int = 0,
        drop_last: bool = False,
        lengths: Sequence[int] | None = None,
        model_input_name: str | None = None,
    ) -> None:
        super().__init__(batch_size, dataset, lengths, model_input_name, seed=seed)
        self.num_replicas = torch.distributed.get_world_size() if num_replicas is None else num_replicas
        self.rank = torch.distributed.get_rank() if rank is None else rank
        self.drop_last = drop_last
        shares = len(self.lengths) / self.num_replicas
        self.num_samples = math.floor(shares) if drop_last else math.ceil(shares)
        self.total_size = self.num_samples * self.num_replicas

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = length_grouped_indices(self.lengths, self.batch_size, generator=generator)
        return iter(_filled(order, self.total_size)[self.rank :: self.num_replicas])


@contextlib.contextmanager
def torch_distributed_zero_first(local_rank: int) -> Iterator[None]:
    """Let the first process of a machine run the block before the others do.

    Args:
        local_rank: number of this process on its machine; -1 where there is only one.
    """
    if local_rank not in (-1, 0):
        torch.distributed.barrier()
    yield
    if local_rank == 0:
        torch.distributed.barrier()
