"""Folders of weights into modules and back: safetensors, shards, old ``.bin`` files, dtypes and devices."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".bitsandbytes": ["BitsAndBytes"],
        ".ctranslate2": ["CTranslate2"],
        ".cut": ["cut_like"],
        ".empty": ["without_weights"],
        ".errors": ["CheckpointError"],
        ".gguf": ["GGUF"],
        ".files": ["atomic_write", "find_weights", "shard_files"],
        ".load": ["LoadReport", "load_into"],
        ".read": ["read_state_dict", "tensor_names"],
        ".write": ["parse_size", "save"],
    },
)
