"""Prediction of each token as a teacher predicts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from scaling.objectives.causal import Causal


@dataclass(frozen=True, kw_only=True)
class Distilled(Causal):
    """Predicts what a teacher predicts of every token, from those before it.

    The training loss is the cross-entropy to the teacher's distribution, and to nothing else
    (Hinton et al. 2015, arXiv 1503.02531, at temperature 1). The held-out loss is that of the text,
    so that it compares with the loss of `Causal` runs. `RunConfig.distilled_from` is the teacher.
    """

    kind: ClassVar[str] = "distilled"
