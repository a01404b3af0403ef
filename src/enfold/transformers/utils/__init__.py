"""What code around the ecosystem asks `transformers.utils` for: names of files, what is installed, a logger."""

from enfold.lazy import face
from enfold.transformers.utils.availability import CHECKS

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".availability": [*CHECKS, "NLTK_IMPORT_ERROR", "is_in_notebook", "is_torchdynamo_compiling"],
        ".generic": ["copy_func", "find_adapter_config_file", "make_markdown_table"],
        ".names": [
            "ADAPTER_CONFIG_NAME",
            "ADAPTER_SAFE_WEIGHTS_NAME",
            "ADAPTER_WEIGHTS_NAME",
            "CHAT_TEMPLATE_FILE",
            "CONFIG_NAME",
            "FEATURE_EXTRACTOR_NAME",
            "GENERATION_CONFIG_NAME",
            "IMAGE_PROCESSOR_NAME",
            "PROCESSOR_NAME",
            "SAFE_WEIGHTS_INDEX_NAME",
            "SAFE_WEIGHTS_NAME",
            "WEIGHTS_INDEX_NAME",
            "WEIGHTS_NAME",
        ],
        "enfold.hub.constants": ["is_offline_mode"],
        "enfold.nn.outputs": ["ModelOutput"],
        "enfold.transformers.sharing": ["PushToHubMixin"],
        "enfold.transformers.tokenization.options": ["ExplicitEnum=_Named", "PaddingStrategy", "TensorType"],
    },
)
