"""The losses of alignment, as functions of log-probabilities: each with the paper that it is from."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".preference": ["cpo_loss", "dpo_loss", "odds_ratio_loss", "reward_loss", "unpaired_loss"],
        ".supervised": ["supervised_loss"],
    },
)
