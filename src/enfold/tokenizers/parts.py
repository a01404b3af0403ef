"""The parts of a tokenizer, as Python objects that stay in step with the core."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from enfold import _native
from enfold.tokenizers.component import Component, build, changes, custom_objects, spec_text

if TYPE_CHECKING:
    from enfold.tokenizers.decoders import Decoder
    from enfold.tokenizers.models import Model
    from enfold.tokenizers.normalizers import Normalizer
    from enfold.tokenizers.pre_tokenizers import PreTokenizer
    from enfold.tokenizers.processors import PostProcessor

__all__ = ["Parts"]

_COMPONENTS = {
    "normalizer": ("normalizers", "Normalizer"),
    "pre_tokenizer": ("pre_tokenizers", "PreTokenizer"),
    "post_processor": ("processors", "PostProcessor"),
    "decoder": ("decoders", "Decoder"),
}


class Parts:
    """Model, normalizer, pre-tokenizer, post-processor and decoder of a tokenizer."""

    def _start(self) -> None:
        self._core = _native.Tokenizer()
        self._model: Model | None = None
        # The components as they stand in the core, and the objects made for them so far.
        self._texts: dict[str, str] = dict.fromkeys(_COMPONENTS, "null")
        self._objects: dict[str, Component] = {}
        self._seen = changes()

    def _start_as(self, other: Parts) -> None:
        """Begin with the parts of another tokenizer; what is done to either from now on does not reach the other."""
        self._core = other._sync().copy()
        self._model = None
        self._texts = dict(other._texts)
        self._seen = changes()
        # Components that are only made of settings are made anew when asked for; what is the user's own cannot be.
        self._objects = {}
        for name, component in other._objects.items():
            if custom_objects(component):
                self._objects[name] = copied = copy.deepcopy(component)
                getattr(self._core, f"set_{name}")(spec_text(copied), custom_objects(copied))
                self._texts[name] = spec_text(copied)

    @property
    def revision(self) -> int:
        """A number that grows with every change to the tokenizer: compare it to know that nothing has changed.

        Counted are changes of parts (in place, too), of added tokens, and of truncation, padding and
        encode_special_tokens. It says nothing about other tokenizers; ``__fingerprint__`` does.
        """
        return self._sync().revision

    def _sync(self) -> _native.Tokenizer:
        """Bring the core up to date with components that were changed in place."""
        if self._seen != changes():
            self._seen = changes()
            if self._model is not None and self._model._core is not self._core.model:
                self._core.set_model(self._model._core)
            for name, component in self._objects.items():
                self._put(name, component)
        return self._core

    def _put(self, name: str, component: Component | None) -> None:
        text = spec_text(component)
        if text != self._texts[name]:
            getattr(self._core, f"set_{name}")(text, custom_objects(component))
            self._texts[name] = text

    def _take_specs(self, specs: dict[str, str | None]) -> None:
        """The components as a file gave them to the core."""
        self._texts = {name: text or "null" for name, text in specs.items()}

    def _component_specs(self) -> list[tuple[str, str]]:
        """Name and JSON of each component, as files have them.

        Raises:
            CustomComponentError: one is written in Python.
        """
        self._sync()
        for name in _COMPONENTS:
            self._get(name)
            if custom_objects(self._objects.get(name)):
                self._objects[name].spec()
        return list(self._texts.items())

    def _get(self, name: str) -> Any:
        if name not in self._objects and self._texts[name] != "null":
            from importlib import import_module

            module, base = _COMPONENTS[name]
            home = import_module(f"enfold.tokenizers.{module}")
            component = build(getattr(home, base), json.loads(self._texts[name]))
            self._objects[name] = component
            self._texts[name] = spec_text(component)
        return self._objects.get(name)

    def _assign(self, name: str, component: Any) -> None:
        base = _COMPONENTS[name][1]
        if component is not None and not (isinstance(component, Component) and component._base == base):
            raise TypeError(f"{name} must be a {_COMPONENTS[name][1]} or None, not {type(component).__name__}")
        self._put(name, component)
        self._objects.pop(name, None)
        if component is not None:
            self._objects[name] = component

    @property
    def model(self) -> Any:
        """The model."""
        if self._model is None:
            from enfold.tokenizers.models import Model

            core = self._core.model
            self._model = None if core is None else Model._wrap(core)
        return self._model

    @model.setter
    def model(self, model: Model) -> None:
        if not isinstance(getattr(model, "_core", None), _native.Model):
            raise TypeError(f"model must be a Model, not {type(model).__name__}")
        self._core.set_model(model._core)
        self._model = model

    @property
    def normalizer(self) -> Any:
        """The normalizer, or None."""
        return self._get("normalizer")

    @normalizer.setter
    def normalizer(self, normalizer: Normalizer | None) -> None:
        self._assign("normalizer", normalizer)

    @property
    def pre_tokenizer(self) -> Any:
        """The pre-tokenizer, or None."""
        return self._get("pre_tokenizer")

    @pre_tokenizer.setter
    def pre_tokenizer(self, pre_tokenizer: PreTokenizer | None) -> None:
        self._assign("pre_tokenizer", pre_tokenizer)

    @property
    def post_processor(self) -> Any:
        """The post-processor, or None."""
        return self._get("post_processor")

    @post_processor.setter
    def post_processor(self, processor: PostProcessor | None) -> None:
        self._assign("post_processor", processor)

    @property
    def decoder(self) -> Any:
        """The decoder, or None."""
        return self._get("decoder")

    @decoder.setter
    def decoder(self, decoder: Decoder | None) -> None:
        self._assign("decoder", decoder)

    @property
    def encode_special_tokens(self) -> bool:
        """Treat special tokens in the text as plain text."""
        return self._core.encode_special_tokens

    @encode_special_tokens.setter
    def encode_special_tokens(self, value: bool) -> None:
        self._core.encode_special_tokens = value
