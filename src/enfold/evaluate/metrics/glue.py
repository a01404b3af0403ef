"""The scores of GLUE, a configuration for each of its data sets."""

from __future__ import annotations

from typing import ClassVar

from enfold.evaluate.tasks import ACCURACY, ACCURACY_AND_F1, CORRELATIONS, MATTHEWS, TaskMetric

__all__ = ["Glue"]


class Glue(TaskMetric):
    """The scores of one data set of the GLUE benchmark: ``load("glue", "mrpc")``.

    ``cola`` gives ``matthews_correlation``; ``stsb``, whose inputs are numbers, ``pearson`` and ``spearmanr``; ``mrpc``
    and ``qqp`` ``accuracy`` and ``f1``; the others ``accuracy``.

    Source: A. Wang et al., "GLUE: a multi-task benchmark and analysis platform", 2019.

    Example:
        >>> Glue(config_name="mrpc").compute(predictions=[0, 1, 1], references=[0, 1, 0])
        {'accuracy': 0.6666666666666666, 'f1': 0.6666666666666666}
    """

    source = "https://gluebenchmark.com/"
    tasks: ClassVar = {
        "sst2": ACCURACY,
        "mnli": ACCURACY,
        "mnli_mismatched": ACCURACY,
        "mnli_matched": ACCURACY,
        "cola": MATTHEWS,
        "stsb": CORRELATIONS,
        "mrpc": ACCURACY_AND_F1,
        "qqp": ACCURACY_AND_F1,
        "qnli": ACCURACY,
        "rte": ACCURACY,
        "wnli": ACCURACY,
        "hans": ACCURACY,
    }
