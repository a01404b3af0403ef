"""Tasks from raw input to a finished answer in one call."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".audio_classification": ["AudioClassificationPipeline"],
        ".base": ["ChunkPipeline", "Pipeline", "PipelineException"],
        ".build": ["pipeline"],
        ".conversational": ["Conversation", "ConversationalPipeline"],
        ".feature_extraction": ["FeatureExtractionPipeline"],
        ".fill_mask": ["FillMaskPipeline"],
        ".depth_estimation": ["DepthEstimationPipeline"],
        ".image_classification": ["ImageClassificationPipeline"],
        ".image_feature_extraction": ["ImageFeatureExtractionPipeline"],
        ".image_to_text": ["ImageToTextPipeline"],
        ".image_segmentation": ["ImageSegmentationPipeline"],
        ".mask_generation": ["MaskGenerationPipeline"],
        ".object_detection": ["ObjectDetectionPipeline"],
        ".pt_utils": ["KeyDataset", "KeyPairDataset"],
        ".question_answering": ["QuestionAnsweringPipeline", "SquadExample"],
        ".registry": ["PIPELINE_REGISTRY", "PipelineRegistry", "get_supported_tasks", "get_task"],
        ".speech_recognition": ["AutomaticSpeechRecognitionPipeline"],
        ".text2text_generation": ["SummarizationPipeline", "Text2TextGenerationPipeline", "TranslationPipeline"],
        ".text_classification": ["ClassificationFunction", "TextClassificationPipeline"],
        ".text_generation": ["Chat", "TextGenerationPipeline"],
        ".text_to_audio": ["TextToAudioPipeline"],
        ".token_classification": ["AggregationStrategy", "NerPipeline", "TokenClassificationPipeline"],
        ".visual_question_answering": ["VisualQuestionAnsweringPipeline"],
        ".zero_shot_audio_classification": ["ZeroShotAudioClassificationPipeline"],
        ".zero_shot_classification": ["ZeroShotClassificationPipeline"],
        ".zero_shot_image_classification": ["ZeroShotImageClassificationPipeline"],
        ".zero_shot_object_detection": ["ZeroShotObjectDetectionPipeline"],
    },
)
