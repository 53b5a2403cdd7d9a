"""Scaling laws, one in a file, all behind the `Law` interface."""

from analysis.laws.broken_power_law import BNSL_1, BNSL_2, broken_power_law
from analysis.laws.chinchilla import CHINCHILLA
from analysis.laws.chinchilla_tied import CHINCHILLA_TIED
from analysis.laws.critical_batch import CRITICAL_BATCH
from analysis.laws.data_constrained import DATA_CONSTRAINED
from analysis.laws.delayed_power_law import DELAYED_POWER_LAW
from analysis.laws.distillation import DISTILLATION
from analysis.laws.expert_laws import GRANULAR
from analysis.laws.interaction import INTERACTION
from analysis.laws.kaplan import KAPLAN, KAPLAN_C, KAPLAN_D, KAPLAN_N
from analysis.laws.law import Law
from analysis.laws.m4 import M4
from analysis.laws.mixed_modal import MIXED_MODAL
from analysis.laws.over_training import OVER_TRAINING
from analysis.laws.overfitting import OVERFITTING
from analysis.laws.power_law import POWER_LAW
from analysis.laws.power_product import TRANSFER, TRANSFER_P
from analysis.laws.quanta import QUANTA, QUANTA_N
from analysis.laws.rewards import BEST_OF_N, RL_REWARD
from analysis.laws.routed import ROUTED
from analysis.laws.saturating_power_law import SATURATING_POWER_LAW
from analysis.laws.shared_floor import SHARED_FLOOR_2, shared_floor
from analysis.laws.task_metric import TASK_EXPONENTIAL, TASK_SIGMOID
from analysis.laws.transfer_loss import TRANSFER_LOSS
from analysis.laws.width_depth import WIDTH_DEPTH, WIDTH_DEPTH_N

LAWS = {
    law.name: law
    for law in (
        POWER_LAW,
        SATURATING_POWER_LAW,
        DELAYED_POWER_LAW,
        M4,
        BNSL_1,
        BNSL_2,
        KAPLAN_N,
        KAPLAN_D,
        KAPLAN_C,
        KAPLAN,
        CHINCHILLA,
        CHINCHILLA_TIED,
        INTERACTION,
        DATA_CONSTRAINED,
        OVERFITTING,
        OVER_TRAINING,
        ROUTED,
        GRANULAR,
        SHARED_FLOOR_2,
        WIDTH_DEPTH,
        WIDTH_DEPTH_N,
        TASK_SIGMOID,
        TASK_EXPONENTIAL,
        CRITICAL_BATCH,
        QUANTA,
        QUANTA_N,
        BEST_OF_N,
        RL_REWARD,
        MIXED_MODAL,
        TRANSFER,
        TRANSFER_P,
        TRANSFER_LOSS,
        DISTILLATION,
    )
}
"""Every law by its name, to read back what a file names."""

__all__ = [
    "BEST_OF_N",
    "BNSL_1",
    "BNSL_2",
    "CHINCHILLA",
    "CHINCHILLA_TIED",
    "CRITICAL_BATCH",
    "DATA_CONSTRAINED",
    "DELAYED_POWER_LAW",
    "DISTILLATION",
    "GRANULAR",
    "INTERACTION",
    "KAPLAN",
    "KAPLAN_C",
    "KAPLAN_D",
    "KAPLAN_N",
    "LAWS",
    "M4",
    "MIXED_MODAL",
    "OVERFITTING",
    "OVER_TRAINING",
    "POWER_LAW",
    "QUANTA",
    "QUANTA_N",
    "RL_REWARD",
    "ROUTED",
    "SATURATING_POWER_LAW",
    "SHARED_FLOOR_2",
    "TASK_EXPONENTIAL",
    "TASK_SIGMOID",
    "TRANSFER",
    "TRANSFER_LOSS",
    "TRANSFER_P",
    "WIDTH_DEPTH",
    "WIDTH_DEPTH_N",
    "Law",
    "broken_power_law",
    "shared_floor",
]
