"""What model servers take: the inputs and parameters of every task, and the words they choose from, as tables.

A call of :class:`~enfold.hub.InferenceClient` builds these itself; programs that talk to a server by other means find
them here by the names that `huggingface_hub` gives them.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import sys
from typing import Any, Literal

from enfold.hub.inference.shape import BaseInferenceType

__all__ = ["CHOICES", "FIELDS"]

# Names = their fields; one with a question mark may be left out. A row that begins with spaces continues the one above.
FIELDS = """
AudioClassificationInput AutomaticSpeechRecognitionInput DepthEstimationInput DocumentQuestionAnsweringInput
    FillMaskInput ImageClassificationInput ImageSegmentationInput ImageToImageInput ImageToTextInput
    ImageToVideoInput ObjectDetectionInput QuestionAnsweringInput SentenceSimilarityInput SummarizationInput
    TableQuestionAnsweringInput Text2TextGenerationInput TextClassificationInput TextToAudioInput TextToImageInput
    TextToSpeechInput TextToVideoInput TokenClassificationInput TranslationInput VideoClassificationInput
    VisualQuestionAnsweringInput = inputs parameters?
AudioClassificationParameters ImageClassificationParameters TextClassificationParameters = function_to_apply?
    top_k?
AudioToAudioInput = inputs
AutomaticSpeechRecognitionGenerationParameters ImageToTextGenerationParameters TextToAudioGenerationParameters
    TextToSpeechGenerationParameters = do_sample? early_stopping? epsilon_cutoff? eta_cutoff? max_length?
    max_new_tokens? min_length? min_new_tokens? num_beam_groups? num_beams? penalty_alpha? temperature? top_k?
    top_p? typical_p? use_cache?
AutomaticSpeechRecognitionParameters = generation_parameters? return_timestamps?
ChatCompletionInput = messages frequency_penalty? logit_bias? logprobs? max_tokens? model? n? presence_penalty?
    response_format? seed? stop? stream? stream_options? temperature? tool_choice? tool_prompt? tools? top_logprobs?
    top_p?
ChatCompletionInputFunctionDefinition = name parameters description?
ChatCompletionInputFunctionName = name
ChatCompletionInputJSONSchema = name description? schema? strict?
ChatCompletionInputMessage = role content? name? tool_calls?
ChatCompletionInputMessageChunk = type image_url? text?
ChatCompletionInputResponseFormatJSONObject ChatCompletionInputResponseFormatText = type
ChatCompletionInputResponseFormatJSONSchema = type json_schema
ChatCompletionInputStreamOptions = include_usage?
ChatCompletionInputTool = function type
ChatCompletionInputToolCall = function id type
ChatCompletionInputToolChoiceClass = function
ChatCompletionInputURL = url
DocumentQuestionAnsweringInputData VisualQuestionAnsweringInputData = image question
DocumentQuestionAnsweringParameters = doc_stride? handle_impossible_answer? lang? max_answer_len?
    max_question_len? max_seq_len? top_k? word_boxes?
FeatureExtractionInput = inputs normalize? prompt_name? truncate? truncation_direction?
FillMaskParameters = targets? top_k?
ImageSegmentationParameters = mask_threshold? overlap_mask_area_threshold? subtask? threshold?
ImageTextToImageInput ImageTextToVideoInput = inputs? parameters?
ImageTextToImageParameters = guidance_scale? negative_prompt? num_inference_steps? prompt? seed? target_size?
ImageTextToImageTargetSize ImageTextToVideoTargetSize ImageToImageTargetSize ImageToVideoTargetSize = height
    width
ImageTextToVideoParameters ImageToVideoParameters = guidance_scale? negative_prompt? num_frames?
    num_inference_steps? prompt? seed? target_size?
ImageToImageParameters = guidance_scale? negative_prompt? num_inference_steps? prompt? target_size?
ImageToTextParameters = generation_parameters? max_new_tokens?
ObjectDetectionParameters = threshold?
QuestionAnsweringInputData = context question
QuestionAnsweringParameters = align_to_words? doc_stride? handle_impossible_answer? max_answer_len?
    max_question_len? max_seq_len? top_k?
SentenceSimilarityInputData = sentences source_sentence
SummarizationParameters Text2TextGenerationParameters = clean_up_tokenization_spaces? generate_parameters?
    truncation?
TableQuestionAnsweringInputData = question table
TableQuestionAnsweringParameters = padding? sequential? truncation?
TextGenerationInput = inputs parameters? stream?
TextGenerationInputGenerateParameters = adapter_id? best_of? decoder_input_details? details? do_sample?
    frequency_penalty? grammar? max_new_tokens? repetition_penalty? return_full_text? seed? stop? temperature?
    top_k? top_n_tokens? top_p? truncate? typical_p? watermark?
TextGenerationInputGrammarType = type value
TextToAudioParameters TextToSpeechParameters = generation_parameters?
TextToImageParameters = guidance_scale? height? negative_prompt? num_inference_steps? scheduler? seed? width?
TextToVideoParameters = guidance_scale? negative_prompt? num_frames? num_inference_steps? seed?
TokenClassificationParameters = aggregation_strategy? ignore_labels? stride?
TranslationParameters = clean_up_tokenization_spaces? generate_parameters? src_lang? tgt_lang? truncation?
VideoClassificationParameters = frame_sampling_rate? function_to_apply? num_frames? top_k?
VisualQuestionAnsweringParameters = top_k?
ZeroShotClassificationInput ZeroShotImageClassificationInput ZeroShotObjectDetectionInput = inputs parameters
ZeroShotClassificationParameters = candidate_labels hypothesis_template? multi_label?
ZeroShotImageClassificationParameters = candidate_labels hypothesis_template?
ZeroShotObjectDetectionParameters = candidate_labels
"""

# Names = the words to choose from.
CHOICES = """
AudioClassificationOutputTransform ImageClassificationOutputTransform TextClassificationOutputTransform
    VideoClassificationOutputTransform = sigmoid softmax none
AutomaticSpeechRecognitionEarlyStoppingEnum ImageToTextEarlyStoppingEnum TextToAudioEarlyStoppingEnum
    TextToSpeechEarlyStoppingEnum = never
ChatCompletionInputMessageChunkType = text image_url
ChatCompletionInputToolChoiceEnum = auto none required
FeatureExtractionInputTruncationDirection = left right
ImageSegmentationSubtask = instance panoptic semantic
Padding = do_not_pad longest max_length
SummarizationTruncationStrategy Text2TextGenerationTruncationStrategy TranslationTruncationStrategy =
    do_not_truncate longest_first only_first only_second
TokenClassificationAggregationStrategy = none simple first average max
TypeEnum = json regex json_schema
"""


def _rows(table: str) -> dict[str, list[str]]:
    """Return name → words of a table."""
    lines = table.strip().replace("\n    ", " ").splitlines()
    halves = [line.partition(" = ") for line in lines]
    return {name: words.split() for names, _, words in halves for name in names.split()}


def _make(name: str, fields: list[str]) -> type[BaseInferenceType]:
    made = [
        (field.rstrip("?"), Any, dataclasses.field(default=None)) if field.endswith("?") else (field, Any)
        for field in fields
    ]
    doc = f"What a server takes: {', '.join(field.rstrip('?') for field in fields)}."
    return dataclasses.make_dataclass(
        name, made, bases=(BaseInferenceType,), eq=False, namespace={"__module__": __name__, "__doc__": doc}
    )


_FORMATS = ("Text", "JSONSchema", "JSONObject")
_FIELDS, _CHOICES = _rows(FIELDS), _rows(CHOICES)


def __getattr__(name: str) -> Any:
    if name in _FIELDS:
        made: Any = _make(name, _FIELDS[name])
    elif name in _CHOICES:
        made = Literal[tuple(_CHOICES[name])]
    elif name == "ChatCompletionInputGrammarType":
        kinds = [getattr(sys.modules[__name__], f"ChatCompletionInputResponseFormat{kind}") for kind in _FORMATS]
        made = functools.reduce(operator.or_, kinds)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = made
    return made
