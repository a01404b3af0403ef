"""What is loaded into a pipeline beside its folder: adapters, learned words, checkpoints of one file."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".ip_adapter": ["IPAdapterMixin"],
        ".lora": ["LoraLoaderMixin=LoraMixin", "LoraMixin", "StableDiffusionLoraLoaderMixin=LoraMixin"],
        ".single_file": [
            "FromOriginalModelMixin=SingleFileMixin",
            "FromSingleFileMixin=SingleFilePipelineMixin",
            "SingleFileMixin",
            "SingleFilePipelineMixin",
        ],
        ".textual_inversion": ["TextualInversionLoaderMixin=TextualInversionMixin", "TextualInversionMixin"],
    },
)
