"""Closed-form risk curves to lay over measurements; each function says which risk it returns."""

from analysis.theory.kernel_regression import (
    KernelRidgeRisk,
    effective_ridge,
    kernel_ridge_risk,
    learnability,
    power_law_exponent,
    power_law_spectrum,
)
from analysis.theory.linear_regression import (
    marchenko_pastur_stieltjes,
    misspecified_excess_risk,
    misspecified_excess_risk_exact,
    optimal_ridge,
    optimal_ridge_excess_risk,
    ridge_excess_risk,
    ridgeless_excess_risk,
    ridgeless_excess_risk_exact,
)

__all__ = [
    "KernelRidgeRisk",
    "effective_ridge",
    "kernel_ridge_risk",
    "learnability",
    "marchenko_pastur_stieltjes",
    "misspecified_excess_risk",
    "misspecified_excess_risk_exact",
    "optimal_ridge",
    "optimal_ridge_excess_risk",
    "power_law_exponent",
    "power_law_spectrum",
    "ridge_excess_risk",
    "ridgeless_excess_risk",
    "ridgeless_excess_risk_exact",
]
