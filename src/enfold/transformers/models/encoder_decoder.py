"""An encoder of one family and a decoder of another, put together (Rothe et al., 2020, "Leveraging Pre-trained
Checkpoints for Sequence Generation Tasks").

Shapes: B rows, S states of the encoder, T tokens written, D width, V words.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.losses import token_loss
from enfold.transformers.config import AutoConfig
from enfold.transformers.configs.encoder_decoder import EncoderDecoderConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.outputs import Seq2SeqLMOutput
from enfold.transformers.seq2seq import ConditionalGenerationHead, encoded, shift_right

__all__ = ["EncoderDecoderConfig", "EncoderDecoderModel"]


class EncoderDecoderModel(ConditionalGenerationHead, PreTrainedModel):
    """Any model that reads, and any that continues texts and looks at an encoder.

    Args:
        config: of both parts; made of the parts' own by default.
        encoder: what reads; blank by default.
        decoder: what writes; blank by default.
    """

    config_class: ClassVar[Any] = EncoderDecoderConfig
    base_model_prefix = "encoder_decoder"
    _supports_sdpa = True
    main_input_name = "input_ids"
    masks_what_is_read: ClassVar[bool] = True
    _input_embed_layer = "encoder"

    def __init__(self, config: Any = None, encoder: Any = None, decoder: Any = None) -> None:
        from enfold.transformers.auto import AutoModel, AutoModelForCausalLM

        if config is None:
            if encoder is None or decoder is None:
                raise EnfoldError("a configuration is needed, or both an encoder and a decoder")
            config = self.config_class.from_encoder_decoder_configs(encoder.config, decoder.config)
        super().__init__(config)
        self.encoder = AutoModel.from_config(config.encoder) if encoder is None else encoder
        self.decoder = AutoModelForCausalLM.from_config(config.decoder) if decoder is None else decoder
        parts = {"encoder": self.encoder, "decoder": self.decoder}
        config._attn_implementation = {name: part.config._attn_implementation for name, part in parts.items()}
        self.encoder.config, self.decoder.config = config.encoder, config.decoder
        wide, wanted = config.encoder.hidden_size, getattr(config.decoder, "cross_attention_hidden_size", None)
        if wanted not in (None, wide):
            raise EnfoldError(f"the decoder looks at states of width {wanted}, and the encoder's are {wide} wide")
        if wide != config.decoder.hidden_size and wanted is None:
            self.enc_to_dec_proj: nn.Module | None = nn.Linear(wide, config.decoder.hidden_size)
        else:
            self.enc_to_dec_proj = None
        self.post_init()

    @classmethod
    def from_encoder_decoder_pretrained(
        cls,
        encoder_pretrained_model_name_or_path: Any = None,
        decoder_pretrained_model_name_or_path: Any = None,
        *model_args: Any,
        **kwargs: Any,
    ) -> Any:
        """Put two checkpoints together; the layers with which the decoder looks at the encoder are drawn anew.

        Args:
            encoder_pretrained_model_name_or_path: what reads; or ``encoder_model=``, a model.
            decoder_pretrained_model_name_or_path: what writes; or ``decoder_model=``, a model.
            model_args: passed to the encoder's class.
            kwargs: ``encoder_…`` and ``decoder_…`` for the parts' ``from_pretrained``, others for the configuration.
        """
        from enfold.transformers.auto import AutoModel, AutoModelForCausalLM

        own: dict[str, dict[str, Any]] = {"encoder_": {}, "decoder_": {}}
        shared = {}
        for name, value in kwargs.items():
            prefix = name[:8]
            if prefix in own and name != "decoder_start_token_id":
                own[prefix][name[8:]] = value
            else:
                shared[name] = value
        encoder, decoder = own["encoder_"].pop("model", None), own["decoder_"].pop("model", None)
        if encoder is None:
            if encoder_pretrained_model_name_or_path is None:
                raise EnfoldError("say what reads: an encoder's name, or encoder_model=")
            encoder = AutoModel.from_pretrained(encoder_pretrained_model_name_or_path, *model_args, **own["encoder_"])
        if decoder is None:
            if decoder_pretrained_model_name_or_path is None:
                raise EnfoldError("say what writes: a decoder's name, or decoder_model=")
            config = own["decoder_"].pop("config", None)
            config = AutoConfig.from_pretrained(decoder_pretrained_model_name_or_path) if config is None else config
            config.is_decoder = config.add_cross_attention = True
            source = decoder_pretrained_model_name_or_path
            decoder = AutoModelForCausalLM.from_pretrained(source, config=config, **own["decoder_"])
        config = cls.config_class.from_encoder_decoder_configs(encoder.config, decoder.config, **shared)
        return cls(config, encoder, decoder)

    def get_encoder(self) -> Any:
        """Return the part that reads."""
        return self.encoder

    def get_decoder(self) -> Any:
        """Return the part that writes."""
        return self.decoder

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the layer that predicts tokens."""
        return self.decoder.get_output_embeddings()

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the layer that predicts tokens."""
        self.decoder.set_output_embeddings(value)

    def resize_token_embeddings(self, *_: Any, **__: Any) -> Any:
        """Raise EnfoldError: each part has tokens of its own."""
        raise EnfoldError("resize the parts: model.encoder.resize_token_embeddings(…) or model.decoder.…")

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Return the decoder's inputs that go with ``labels`` (B, T)."""
        return shift_right(labels, self.config.pad_token_id, self.config.decoder_start_token_id)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V); see ``ConditionalGenerationHead.forward``.

        ``decoder_…`` among further arguments goes to the decoder, the rest to the encoder.
        """
        asked = {"output_attentions": output_attentions, "output_hidden_states": output_hidden_states}
        prefix = "decoder_"
        beside = {name: value for name, value in extra.items() if not name.startswith(prefix)}
        written_with = {name[len(prefix) :]: value for name, value in extra.items() if name.startswith(prefix)}
        mask = {"attention_mask": attention_mask} if self.masks_what_is_read else {}
        if encoder_outputs is None:
            if input_ids is None and inputs_embeds is None:
                raise EnfoldError(f"one of {self.main_input_name} and encoder_outputs is needed")
            given = {} if inputs_embeds is None else {"inputs_embeds": inputs_embeds}
            encoder_outputs = self.encoder(input_ids, **mask, **given, **asked, **beside, return_dict=True)
        read = encoded(encoder_outputs)
        states = read.last_hidden_state if self.enc_to_dec_proj is None else self.enc_to_dec_proj(read[0])
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
            if decoder_attention_mask is None and self.masks_what_is_read:
                decoder_attention_mask = (decoder_input_ids != self.config.pad_token_id).long()
        written = self.decoder(
            input_ids=decoder_input_ids,
            attention_mask=decoder_attention_mask,
            encoder_hidden_states=states,
            encoder_attention_mask=mask.get("attention_mask"),
            inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            past_key_values=past_key_values,
            logits_to_keep=logits_to_keep,
            **asked,
            **written_with,
            return_dict=True,
        )
        loss = None if labels is None else token_loss(written.logits, labels, num_items_in_batch)
        output = Seq2SeqLMOutput(
            loss=loss,
            logits=written.logits,
            past_key_values=written.get("past_key_values"),
            decoder_hidden_states=written.get("hidden_states"),
            decoder_attentions=written.get("attentions"),
            cross_attentions=written.get("cross_attentions"),
            encoder_last_hidden_state=read.last_hidden_state,
            encoder_hidden_states=read.get("hidden_states"),
            encoder_attentions=read.get("attentions"),
        )
        return as_asked(output, return_dict, self.config.return_dict)
