"""Where each module of the ecosystem lives here: data, for the drop-in and for code that repositories bring along."""

from __future__ import annotations

import importlib.util
import re

__all__ = ["LIBRARIES", "locate"]

# Import name → our package. The version each offers is the package's own ``__version__``.
LIBRARIES: dict[str, str] = {
    "accelerate": "enfold.accelerate",
    "datasets": "enfold.datasets",
    "diffusers": "enfold.diffusers",
    "evaluate": "enfold.evaluate",
    "gradio": "enfold.gradio",
    "huggingface_hub": "enfold.hub",
    "optimum": "enfold.optimum",
    "peft": "enfold.peft",
    "tokenizers": "enfold.tokenizers",
    "transformers": "enfold.transformers",
    "trl": "enfold.trl",
}

# Deep paths of the ecosystem that have no module of the same name here: (pattern, replacement), the first match wins.
# A path whose module does exist under our package needs no row.
_RULES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern + r"\Z"), replacement)
    for pattern, replacement in (
        (r"transformers\.models\.auto", "enfold.transformers.auto"),
        (r"transformers\.models\.auto\.modeling_auto", "enfold.transformers.auto"),
        (r"transformers\.models\.auto\.auto_factory", "enfold.transformers.auto"),
        (r"transformers\.models\.auto\.configuration_auto", "enfold.transformers.config"),
        (r"transformers\.models\.auto\.tokenization_auto", "enfold.transformers.tokenization"),
        (r"transformers\.models\.(\w+)\.modeling_\1", r"enfold.transformers.models.\1"),
        (
            r"transformers\.(?:modeling_tf_utils|models\.\w+\.modeling_tf_\w+)",
            "enfold.transformers.frameworks.tensorflow",
        ),
        (r"transformers\.optimization_tf", "enfold.transformers.frameworks.tensorflow_optimizers"),
        (r"transformers\.keras_callbacks", "enfold.transformers.frameworks.tensorflow_callbacks"),
        (r"transformers\.models\.(\w+)\.configuration_\1", r"enfold.transformers.configs.\1"),
        (r"transformers\.models\.\w+\.tokenization_\w+", "enfold.transformers.tokenization"),
        (r"transformers\.configuration_utils", "enfold.transformers.config"),
        (r"transformers\.modeling_utils", "enfold.transformers.modeling"),
        (r"transformers\.modeling_outputs", "enfold.transformers.outputs"),
        (r"transformers\.tokenization_utils(?:_base|_fast|_tokenizers)?", "enfold.transformers.tokenization"),
        (r"transformers\.cache_utils", "enfold.nn.cache"),
        (r"transformers\.pytorch_utils", "enfold.nn"),
        (
            r"transformers\.(?:training_args|trainer_utils|trainer_callback|trainer_pt_utils)",
            "enfold.transformers.trainer",
        ),
        (r"transformers\.optimization", "enfold.transformers.trainer"),
        (r"transformers\.data(?:\.data_collator)?", "enfold.transformers.trainer"),
        (r"transformers\.generation\.\w+", "enfold.transformers.generation"),
        (r"transformers\.utils\.import_utils", "enfold.transformers.utils.availability"),
        (r"transformers\.utils\.(?:hub|peft_utils)", "enfold.transformers.utils"),
        (r"transformers\.modelcard", "enfold.transformers.utils.generic"),
        (r"transformers\.integrations\.integration_utils", "enfold.transformers.integrations"),
        (
            r"transformers\.integrations\.(?:sdpa_attention|flex_attention|flash_attention)",
            "enfold.transformers.attentions",
        ),
        (r"transformers\.pipelines\.\w+", "enfold.transformers.pipelines"),
        (r"peft\.tuners\.lora\.\w+", "enfold.peft.tuners.lora"),
        (r"peft\.optimizers\.\w+", "enfold.peft.optimizers"),
        (r"peft\.(?:peft_model|mapping|config|tuners|utils)(?:\.\w+)*", "enfold.peft"),
        (
            r"datasets\.(?:arrow_dataset|arrow_reader|builder|dataset_dict|inspect|iterable_dataset|utils\.version)",
            "enfold.datasets",
        ),
        (r"datasets\.exceptions", "enfold.datasets.errors"),
        (r"datasets\.download\.\w+", "enfold.datasets.download"),
        (r"datasets\.formatting(?:\.\w+)?", "enfold.datasets.formats"),
        (r"datasets\.packaged_modules(?:\.\w+)+", "enfold.datasets.packaged_modules"),
        (r"datasets\.parallel\.parallel", "enfold.datasets.parallel"),
        (r"datasets\.utils\._?filelock", "filelock"),
        (
            r"huggingface_hub\.(?:file_download|hf_api|_commit_api|repocard|repocard_data|_snapshot_download|community|"
            r"hf_file_system|hub_mixin|_commit_scheduler|_login|_space_api|_webhooks_payload|_webhooks_server)",
            "enfold.hub",
        ),
        (r"huggingface_hub\.serialization(?:\._base|\._torch)?", "enfold.checkpoints.serialization"),
        (r"huggingface_hub\.inference\.(?:_client|_generated\.types)", "enfold.hub.inference"),
        (
            r"huggingface_hub\.utils\.(?:_auth|_cache_assets|_cache_manager|_chunk_utils|_datetime|_errors|"
            r"_experimental|_fixes|_headers|_hf_uris|_http|_pagination|_paths|_runtime|_telemetry|_validators|sha)",
            "enfold.hub.utils",
        ),
        (r"trl\.trainer(?:\.(?:\w+_trainer|\w+_config|model_config|callbacks))?", "enfold.trl"),
        (r"trl\.trainer\.utils", "enfold.trl.helpers"),
        (r"trl\.(?:data_utils|core|models(?:\.\w+)*|extras(?:\.\w+)*)", "enfold.trl"),
        (r"trl\.chat_template_utils", "enfold.trl.templates"),
        (r"trl\.scripts\.\w+", "enfold.trl.scripts"),
        (r"trl\.rewards\.\w+", "enfold.trl.rewards"),
        (r"trl\.experimental\.(\w+)\.\1_(?:trainer|config)", r"enfold.trl.experimental.\1"),
        (r"trl\.experimental\.(?:judges|merge_model_callback|utils|winrate_callback)", "enfold.trl"),
        (r"trl\.experimental\.ppo\.\w+", "enfold.trl.experimental.ppo"),
        (r"evaluate\.(?:module|loading|inspect)", "enfold.evaluate"),
        (r"evaluate\.evaluator(?:\.\w+)?", "enfold.evaluate.evaluators"),
        (r"evaluate\.evaluation_suite", "enfold.evaluate.suite"),
        (r"evaluate\.hub", "enfold.evaluate.sharing"),
        (r"gradio\.(?:interface|blocks|routes|components(?:\.\w+)?|layouts|events|helpers|themes)", "enfold.gradio"),
        (r"accelerate\.(?:accelerator|big_modeling|data_loader|state)", "enfold.accelerate"),
        (r"accelerate\.utils(?:\.\w+)+", "enfold.accelerate.utils"),
        (r"accelerate\.tracking", "enfold.accelerate.trackers"),
        (r"accelerate\.launchers", "enfold.accelerate.launching"),
        (r"accelerate\.(?:optimizer|scheduler)", "enfold.accelerate.wrappers"),
        (r"accelerate\.(?:parallelism_config|inference)", "enfold.accelerate.parallel"),
        (r"optimum\.onnxruntime\.modeling\w*", "enfold.optimum.onnxruntime"),
        (r"optimum\.intel\.openvino\.(?:utils|loaders)", "enfold.optimum.intel.openvino"),
        (r"optimum\.exporters\.openvino\.(?:__main__|convert|utils|stateful)", "enfold.optimum.exporters.openvino"),
        (r"optimum\.exporters\.onnx\.(?:__main__|convert|utils|base)", "enfold.optimum.exporters.onnx"),
    )
]


def locate(name: str) -> str | None:
    """Return the enfold module that stands for an ecosystem module, or None when there is none.

    Example:
        >>> locate("transformers.models.auto.modeling_auto")
        'enfold.transformers.auto'
        >>> locate("transformers.no_such_module") is None
        True
    """
    root, _, rest = name.partition(".")
    home = LIBRARIES[root]
    if not rest:
        return home
    same = f"{home}.{rest}"
    if _exists(same):
        return same
    for pattern, replacement in _RULES:
        found = pattern.match(name)
        if found:
            target = found.expand(replacement)
            return target if _exists(target) else None
    return None


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False  # a parent is missing, or is a plain module
