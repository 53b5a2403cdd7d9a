"""Scaling laws, one in a file, all behind the `Law` interface.

`law` defines it, and `own` makes one of a user's function. `power_terms` and `power_product` are
what many laws are built from, `scales` and `softplus` their numerics; `LAWS` lists them by name.
"""

from analysis.laws.broken_power_law import BNSL_1 as BNSL_1
from analysis.laws.broken_power_law import BNSL_2 as BNSL_2
from analysis.laws.broken_power_law import broken_power_law as broken_power_law
from analysis.laws.chinchilla import CHINCHILLA as CHINCHILLA
from analysis.laws.chinchilla_tied import CHINCHILLA_TIED as CHINCHILLA_TIED
from analysis.laws.critical_batch import CRITICAL_BATCH as CRITICAL_BATCH
from analysis.laws.data_constrained import DATA_CONSTRAINED as DATA_CONSTRAINED
from analysis.laws.delayed_power_law import DELAYED_POWER_LAW as DELAYED_POWER_LAW
from analysis.laws.distillation import DISTILLATION as DISTILLATION
from analysis.laws.expert_laws import GRANULAR as GRANULAR
from analysis.laws.interaction import INTERACTION as INTERACTION
from analysis.laws.kaplan import KAPLAN as KAPLAN
from analysis.laws.kaplan import KAPLAN_C as KAPLAN_C
from analysis.laws.kaplan import KAPLAN_D as KAPLAN_D
from analysis.laws.kaplan import KAPLAN_N as KAPLAN_N
from analysis.laws.law import Law as Law
from analysis.laws.m4 import M4 as M4
from analysis.laws.mixed_modal import MIXED_MODAL as MIXED_MODAL
from analysis.laws.over_training import OVER_TRAINING as OVER_TRAINING
from analysis.laws.overfitting import OVERFITTING as OVERFITTING
from analysis.laws.power_law import POWER_LAW as POWER_LAW
from analysis.laws.power_product import TRANSFER as TRANSFER
from analysis.laws.power_product import TRANSFER_P as TRANSFER_P
from analysis.laws.quanta import QUANTA as QUANTA
from analysis.laws.quanta import QUANTA_N as QUANTA_N
from analysis.laws.rewards import BEST_OF_N as BEST_OF_N
from analysis.laws.rewards import RL_REWARD as RL_REWARD
from analysis.laws.routed import ROUTED as ROUTED
from analysis.laws.saturating_power_law import SATURATING_POWER_LAW as SATURATING_POWER_LAW
from analysis.laws.shared_floor import SHARED_FLOOR_2 as SHARED_FLOOR_2
from analysis.laws.shared_floor import shared_floor as shared_floor
from analysis.laws.task_metric import TASK_EXPONENTIAL as TASK_EXPONENTIAL
from analysis.laws.task_metric import TASK_SIGMOID as TASK_SIGMOID
from analysis.laws.transfer_loss import TRANSFER_LOSS as TRANSFER_LOSS
from analysis.laws.width_depth import WIDTH_DEPTH as WIDTH_DEPTH
from analysis.laws.width_depth import WIDTH_DEPTH_N as WIDTH_DEPTH_N

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
