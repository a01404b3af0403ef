"""Tables on Arrow: the surface of `datasets`."""

from enfold.lazy import face

__version__ = "5.2.0"

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".builders.base": ["DatasetBuilder"],
        ".builders.configs": ["BuilderConfig"],
        ".builders.scripted": ["ArrowBasedBuilder", "GeneratorBasedBuilder"],
        ".column": ["Column"],
        ".combine": ["concatenate_datasets", "interleave_datasets"],
        ".dataset": ["Dataset"],
        ".dataset_dict": ["DatasetDict"],
        ".download": [
            "DownloadConfig",
            "DownloadManager",
            "DownloadMode",
            "StreamingDownloadManager",
            "VerificationMode",
        ],
        ".features.arrays": ["Array2D", "Array3D", "Array4D", "Array5D"],
        ".features.audio": ["Audio"],
        ".features.features": ["Features"],
        ".features.image": ["Image"],
        ".features.pdf": ["Pdf"],
        ".features.translation": ["Translation", "TranslationVariableLanguages"],
        ".features.types": ["ClassLabel", "Json", "LargeList", "List", "Sequence", "Value"],
        ".features.video": ["Video"],
        ".fingerprint": [
            "Hasher",
            "disable_caching",
            "enable_caching",
            "is_caching_enabled",
            "set_caching_enabled",
        ],
        ".info": ["DatasetInfo", "Version"],
        ".inspecting": [
            "get_dataset_config_info",
            "get_dataset_config_names",
            "get_dataset_default_config_name",
            "get_dataset_infos",
            "get_dataset_split_names",
        ],
        ".load": [
            "load_dataset",
            "load_dataset_builder",
            "load_from_disk",
        ],
        ".splits": [
            "NamedSplit",
            "NamedSplitAll",
            "ReadInstruction",
            "Split",
            "SplitBase",
            "SplitDict",
            "SplitGenerator",
            "SplitInfo",
            "SubSplitInfo",
            "percent",
        ],
        ".streaming.columns": ["IterableColumn"],
        ".streaming.dataset": ["IterableDataset"],
        ".streaming.dataset_dict": ["IterableDatasetDict"],
        ".utils": ["logging"],
        ".utils.switches": [
            "are_progress_bars_disabled",
            "disable_progress_bar=disable_progress_bars",
            "disable_progress_bars",
            "enable_progress_bar=enable_progress_bars",
            "enable_progress_bars",
            "is_progress_bar_enabled",
        ],
    },
)
