"""The tensor blocks that models share: functions first, a module only where there are weights to hold."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".activations": ["ACT2FN", "activation"],
        ".alibi": ["alibi", "alibi_slopes"],
        ".attention": ["Manner", "attend", "merge_heads", "split_heads"],
        ".cache": [
            "Cache",
            "CacheLayer",
            "DynamicCache",
            "EncoderDecoderCache",
            "EncoderDecoderLayer",
            "SlidingLayer",
            "StaticCache",
        ],
        ".conv": ["Conv1D"],
        ".embedding": ["resize_embedding", "resize_linear"],
        ".int8": ["Int8Linear", "to_int8"],
        ".flex": ["flex_attend"],
        ".linear": ["project"],
        ".losses": ["causal_lm_loss", "classification_loss", "span_loss", "token_loss"],
        ".mask": ["causal_mask", "encoder_mask", "layer_kinds", "masks_by_kind", "unpadded"],
        ".mlp": ["GatedMLP"],
        ".moe": ["balance_loss", "choose", "mix"],
        ".norm": ["CenteredRMSNorm", "RMSNorm", "rms_norm"],
        ".outputs": ["ModelOutput"],
        ".relative": ["bucketed_distances", "scores_of"],
        ".rotary": ["Rotary", "rotate"],
    },
)
