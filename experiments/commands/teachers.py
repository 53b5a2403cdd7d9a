"""Students that are larger than their teachers, said from a plan: before anything is trained."""

from collections.abc import Sequence

from scaling.accounting import account
from scaling.config import RunConfig


def outgrown(configs: Sequence[RunConfig]) -> list[str]:
    """A line for each pair of sizes of which the student's is the larger.

    Such a run is allowed: it asks what a weak teacher does to a strong student.
    """
    pairs = {
        (account(config).n_params_total, account(config.distilled_from).n_params_total)
        for config in configs
        if config.distilled_from is not None
    }
    return [
        f"a student of {student:,} parameters learns from a teacher of {teacher:,}, which has less "
        "to teach: give a larger model in distilled_from, unless that is the question"
        for student, teacher in sorted(pairs)
        if student > teacher
    ]
