"""How an accelerator's processes share the work: their mesh, and where on it this one is."""

from __future__ import annotations

from typing import Any

from enfold.accelerate.facts import ProcessFacts
from enfold.accelerate.options import FullyShardedDataParallelPlugin, flag
from enfold.accelerate.parallel import ParallelismConfig, axis_of
from enfold.accelerate.state import DistributedType

__all__ = ["MeshParts"]


class MeshParts(ProcessFacts):
    """The mesh, from a plugin, a configuration or the launcher's variables."""

    def _arrange(
        self, fsdp_plugin: FullyShardedDataParallelPlugin | None, parallelism: ParallelismConfig | None, tensor: Any
    ) -> None:
        """Decide how the processes share the work, and make their mesh."""
        if parallelism is None and tensor is not None and getattr(tensor, "tp_size", 1) > 1:
            parallelism = ParallelismConfig(tp_size=tensor.tp_size)
        if parallelism is None and flag("ACCELERATE_USE_PARALLELISM_CONFIG"):
            parallelism = ParallelismConfig()
        if fsdp_plugin is None and (
            flag("ACCELERATE_USE_FSDP") or (parallelism is not None and parallelism.fsdp_enabled)
        ):
            fsdp_plugin = FullyShardedDataParallelPlugin()
        if fsdp_plugin is not None and self.state.use_distributed and parallelism is None:
            parallelism = ParallelismConfig(dp_shard_size=self.num_processes)
        self.parallelism_config = parallelism
        self.fsdp_plugin = fsdp_plugin if self.state.use_distributed else None
        self.torch_device_mesh: Any = None
        if parallelism is not None and self.state.use_distributed:
            self.torch_device_mesh = parallelism.build_device_mesh(self.device.type)
        if self.fsdp_plugin is not None:
            self.state.distributed_type = DistributedType.FSDP

    @property
    def data_place(self) -> tuple[int, int]:
        """How many processes read different data, and which of them this is."""
        if self.parallelism_config is None:
            return self.num_processes, self.process_index
        same = self.parallelism_config.size("tp")
        return self.num_processes // same, self.process_index // same

    def _rank(self, axis: str) -> int:
        """Which process this is along an axis of the mesh; 0 where there is none."""
        part = axis_of(self.torch_device_mesh, axis)
        return 0 if part is None else int(part.get_local_rank())

    @property
    def tensor_parallel_rank(self) -> int:
        """Which slice of each matrix this process holds."""
        return self._rank("tp")

    @property
    def data_parallel_rank(self) -> int:
        """Which replica this process belongs to."""
        return self._rank("dp_replicate")

    @property
    def data_parallel_shard_rank(self) -> int:
        """Which shard of a replica this process holds."""
        return self._rank("dp_shard")

    @property
    def should_save_model(self) -> bool:
        """Whether this process takes part in saving models: the main process, or each where they are cut."""
        return self.is_main_process or self.is_fsdp2

    @property
    def is_composable_parallelism_enabled(self) -> bool:
        """Whether parameters are cut by functions that can be combined."""
        return self.is_fsdp2

    @property
    def is_fsdp2(self) -> bool:
        """Whether parameters are cut between processes."""
        return self.fsdp_plugin is not None
