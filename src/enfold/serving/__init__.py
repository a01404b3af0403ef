"""An inference server: OpenAI's, TGI's and the Hub's routes over one engine that writes for many at once.

enfold serve MODEL
"""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".app": ["create_app"],
        ".errors": ["NotServed", "ServingError"],
        ".keys": ["Keys"],
        ".limits": ["Limits"],
        ".loading": ["add_text_model", "build_service"],
        ".readers": ["Embedder", "PipelineModel", "Reader", "Reranker", "kind_of", "load_reader"],
        ".sentences": ["SentencePipeline", "load_sentences"],
        ".service": ["Served", "Service"],
        ".transcribing": ["Transcriber", "Transcript"],
        ".text": ["TextModel", "Writer"],
    },
)
