"""Scaling laws, one in a file, all behind the `Law` interface."""

from analysis.laws.law import Law
from analysis.laws.power_law import POWER_LAW
from analysis.laws.saturating_power_law import SATURATING_POWER_LAW

LAWS = {law.name: law for law in (POWER_LAW, SATURATING_POWER_LAW)}
"""Every law by its name, to read back what a file names."""

__all__ = ["LAWS", "POWER_LAW", "SATURATING_POWER_LAW", "Law"]
