"""Writing on: greedy search, sampling and beams, what shapes the scores, when to stop, and streaming."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".config": ["GenerationConfig"],
        ".mixin": ["GenerationMixin"],
        ".outputs": [
            "GenerateBeamDecoderOnlyOutput",
            "GenerateDecoderOnlyOutput",
            "BeamSearchDecoderOnlyOutput=GenerateBeamDecoderOnlyOutput",
            "GreedySearchDecoderOnlyOutput=GenerateDecoderOnlyOutput",
            "SampleDecoderOnlyOutput=GenerateDecoderOnlyOutput",
        ],
        ".processors": [
            "EpsilonLogitsWarper",
            "EtaLogitsWarper",
            "ExponentialDecayLengthPenalty",
            "ForcedBOSTokenLogitsProcessor",
            "ForcedEOSTokenLogitsProcessor",
            "InfNanRemoveLogitsProcessor",
            "LogitNormalization",
            "LogitsProcessor",
            "LogitsProcessorList",
            "LogitsWarper=LogitsProcessor",
            "MinLengthLogitsProcessor",
            "MinNewTokensLengthLogitsProcessor",
            "MinPLogitsWarper",
            "NoBadWordsLogitsProcessor",
            "NoRepeatNGramLogitsProcessor",
            "PrefixConstrainedLogitsProcessor",
            "RepetitionPenaltyLogitsProcessor",
            "SequenceBiasLogitsProcessor",
            "SuppressTokensAtBeginLogitsProcessor",
            "SuppressTokensLogitsProcessor",
            "TemperatureLogitsWarper",
            "TopKLogitsWarper",
            "TopPLogitsWarper",
            "TypicalLogitsWarper",
        ],
        ".stopping": [
            "EosTokenCriteria",
            "MaxLengthCriteria",
            "MaxTimeCriteria",
            "StopStringCriteria",
            "StoppingCriteria",
            "StoppingCriteriaList",
        ],
        ".streamers": ["AsyncTextIteratorStreamer", "BaseStreamer", "TextIteratorStreamer", "TextStreamer"],
    },
)
