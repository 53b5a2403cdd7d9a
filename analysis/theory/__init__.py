"""Closed-form risk curves to lay over measurements; each function says which risk it returns."""

from analysis.theory.anisotropic_flow import gradient_flow_test_risk
from analysis.theory.best_of_n import (
    Tilt,
    best_of_n_kl,
    best_of_n_kl_discrete,
    expected_maximum,
    gaussian_policy_gold,
    gaussian_proxy_gold,
    heavy_proxy_gold,
    reinforced_kl,
    tilted,
)
from analysis.theory.compute_optimal_features import (
    ComputeOptimal,
    compute_optimal_exponents,
    feature_floor,
    one_pass_sgd_risk,
    power_law_problem,
)
from analysis.theory.emergence import (
    QuantaExponents,
    exact_match,
    quanta_exponents,
    quanta_loss,
    token_accuracy,
    wrong_tokens,
)
from analysis.theory.from_data import MeasuredModes, measured_modes, predicted_test_risk
from analysis.theory.graph_convolution import GraphRisk, graph_convolution_risk
from analysis.theory.in_context import (
    discrete_answers,
    least_squares_answers,
    least_squares_in_context,
    ridge_answers,
    ridge_in_context,
    two_tasks_in_context,
)
from analysis.theory.kernel_regression import (
    KernelRidgeRisk,
    effective_ridge,
    kernel_ridge_risk,
    learnability,
    power_law_exponent,
    power_law_spectrum,
)
from analysis.theory.linear_regression import (
    LinearProblem,
    latent_space_problem,
    marchenko_pastur_stieltjes,
    misspecified_excess_risk,
    misspecified_excess_risk_exact,
    optimal_ridge,
    optimal_ridge_excess_risk,
    ridge_excess_risk,
    ridgeless_excess_risk,
    ridgeless_excess_risk_exact,
    second_descent_minimum,
)
from analysis.theory.over_smoothing import smoothed_accuracy
from analysis.theory.overfitting import EffectiveRanks, effective_ranks
from analysis.theory.paired_views import (
    Retrieval,
    best_retrieval,
    log_density_ratio,
    mutual_information,
    sign_agreement,
)
from analysis.theory.random_features import RandomFeatureRisk, random_feature_risk
from analysis.theory.recall import least_recall_loss, recalled_bits
from analysis.theory.sphere_features import RELU, Activation, sphere_features_excess_risk
from analysis.theory.training_time import (
    gradient_descent_excess_risk,
    gradient_flow_excess_risk,
    many_scales_test_risk,
    marchenko_pastur_mean,
)

__all__ = [
    "RELU",
    "Activation",
    "ComputeOptimal",
    "EffectiveRanks",
    "GraphRisk",
    "KernelRidgeRisk",
    "LinearProblem",
    "MeasuredModes",
    "QuantaExponents",
    "RandomFeatureRisk",
    "Retrieval",
    "Tilt",
    "best_of_n_kl",
    "best_of_n_kl_discrete",
    "best_retrieval",
    "compute_optimal_exponents",
    "discrete_answers",
    "effective_ranks",
    "effective_ridge",
    "exact_match",
    "expected_maximum",
    "feature_floor",
    "gaussian_policy_gold",
    "gaussian_proxy_gold",
    "gradient_descent_excess_risk",
    "gradient_flow_excess_risk",
    "gradient_flow_test_risk",
    "graph_convolution_risk",
    "heavy_proxy_gold",
    "kernel_ridge_risk",
    "latent_space_problem",
    "learnability",
    "least_recall_loss",
    "least_squares_answers",
    "least_squares_in_context",
    "log_density_ratio",
    "many_scales_test_risk",
    "marchenko_pastur_mean",
    "marchenko_pastur_stieltjes",
    "measured_modes",
    "misspecified_excess_risk",
    "misspecified_excess_risk_exact",
    "mutual_information",
    "one_pass_sgd_risk",
    "optimal_ridge",
    "optimal_ridge_excess_risk",
    "power_law_exponent",
    "power_law_problem",
    "power_law_spectrum",
    "predicted_test_risk",
    "quanta_exponents",
    "quanta_loss",
    "random_feature_risk",
    "recalled_bits",
    "reinforced_kl",
    "ridge_answers",
    "ridge_excess_risk",
    "ridge_in_context",
    "ridgeless_excess_risk",
    "ridgeless_excess_risk_exact",
    "second_descent_minimum",
    "sign_agreement",
    "smoothed_accuracy",
    "sphere_features_excess_risk",
    "tilted",
    "token_accuracy",
    "two_tasks_in_context",
    "wrong_tokens",
]
