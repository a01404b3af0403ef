"""Backbones: models of images whose feature maps other models build on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from enfold.transformers.heads import as_asked
from enfold.transformers.outputs import BackboneOutput

if TYPE_CHECKING:
    from enfold.transformers.modeling import PreTrainedModel

    Base = PreTrainedModel
else:
    Base = object

__all__ = ["BackboneHead", "load_backbone"]


class BackboneHead(Base):
    """Returns the states of the stages that the configuration names as feature maps.

    A family sets ``num_features``, the channels of every stage from the stem on.
    """

    num_features: list[int]

    @property
    def stage_names(self) -> list[str]:
        """Names of all stages."""
        return self.config.stage_names

    @property
    def out_features(self) -> list[str]:
        """Names of the stages that are returned."""
        return self.config.out_features

    @property
    def out_indices(self) -> list[int]:
        """Places of the stages that are returned."""
        return self.config.out_indices

    @property
    def out_feature_channels(self) -> dict[str, int]:
        """Stage → channels of its feature map."""
        return dict(zip(self.stage_names, self.num_features, strict=True))

    @property
    def channels(self) -> list[int]:
        """Channels of the feature maps that are returned."""
        return [self.num_features[place] for place in self.out_indices]

    def forward_with_filtered_kwargs(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model: the ecosystem's other name for calling it."""
        return self(*args, **kwargs)

    def maps(
        self, states: Sequence[Tensor], attentions: Any, output_hidden_states: bool | None, return_dict: bool | None
    ) -> Any:
        """Return the output for the maps (B, channels, height, width) of every stage."""
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        maps = tuple(self.as_map(states[place]) for place in self.out_indices)
        output = BackboneOutput(maps, tuple(states) if wanted else None, attentions)
        return as_asked(output, return_dict, self.config.return_dict)

    def as_map(self, states: Tensor) -> Tensor:
        """Return a stage's states as a feature map; families whose states are none say how."""
        return states


def load_backbone(config: Any) -> Any:
    """Return a blank backbone for a configuration's ``backbone_config``, or for the configuration itself."""
    from enfold.transformers.auto import AutoBackbone

    return AutoBackbone.from_config(getattr(config, "backbone_config", None) or config)
