"""Closed-form risk curves to lay over measurements; each function says which risk it returns."""

from analysis.theory.anisotropic_flow import gradient_flow_test_risk as gradient_flow_test_risk
from analysis.theory.best_of_n import Tilt as Tilt
from analysis.theory.best_of_n import best_of_n_kl as best_of_n_kl
from analysis.theory.best_of_n import best_of_n_kl_discrete as best_of_n_kl_discrete
from analysis.theory.best_of_n import expected_maximum as expected_maximum
from analysis.theory.best_of_n import gaussian_policy_gold as gaussian_policy_gold
from analysis.theory.best_of_n import gaussian_proxy_gold as gaussian_proxy_gold
from analysis.theory.best_of_n import heavy_proxy_gold as heavy_proxy_gold
from analysis.theory.best_of_n import reinforced_kl as reinforced_kl
from analysis.theory.best_of_n import tilted as tilted
from analysis.theory.compute_optimal_features import ComputeOptimal as ComputeOptimal
from analysis.theory.compute_optimal_features import (
    compute_optimal_exponents as compute_optimal_exponents,
)
from analysis.theory.compute_optimal_features import feature_floor as feature_floor
from analysis.theory.compute_optimal_features import one_pass_sgd_risk as one_pass_sgd_risk
from analysis.theory.compute_optimal_features import power_law_problem as power_law_problem
from analysis.theory.emergence import QuantaExponents as QuantaExponents
from analysis.theory.emergence import exact_match as exact_match
from analysis.theory.emergence import quanta_exponents as quanta_exponents
from analysis.theory.emergence import quanta_loss as quanta_loss
from analysis.theory.emergence import token_accuracy as token_accuracy
from analysis.theory.emergence import wrong_tokens as wrong_tokens
from analysis.theory.from_data import MeasuredModes as MeasuredModes
from analysis.theory.from_data import measured_modes as measured_modes
from analysis.theory.from_data import predicted_test_risk as predicted_test_risk
from analysis.theory.graph_convolution import GraphRisk as GraphRisk
from analysis.theory.graph_convolution import graph_convolution_risk as graph_convolution_risk
from analysis.theory.in_context import discrete_answers as discrete_answers
from analysis.theory.in_context import least_squares_answers as least_squares_answers
from analysis.theory.in_context import least_squares_in_context as least_squares_in_context
from analysis.theory.in_context import ridge_answers as ridge_answers
from analysis.theory.in_context import ridge_in_context as ridge_in_context
from analysis.theory.in_context import two_tasks_in_context as two_tasks_in_context
from analysis.theory.kernel_regression import KernelRidgeRisk as KernelRidgeRisk
from analysis.theory.kernel_regression import effective_ridge as effective_ridge
from analysis.theory.kernel_regression import kernel_ridge_risk as kernel_ridge_risk
from analysis.theory.kernel_regression import learnability as learnability
from analysis.theory.kernel_regression import power_law_exponent as power_law_exponent
from analysis.theory.kernel_regression import power_law_spectrum as power_law_spectrum
from analysis.theory.linear_regression import LinearProblem as LinearProblem
from analysis.theory.linear_regression import latent_space_problem as latent_space_problem
from analysis.theory.linear_regression import (
    marchenko_pastur_stieltjes as marchenko_pastur_stieltjes,
)
from analysis.theory.linear_regression import misspecified_excess_risk as misspecified_excess_risk
from analysis.theory.linear_regression import (
    misspecified_excess_risk_exact as misspecified_excess_risk_exact,
)
from analysis.theory.linear_regression import optimal_ridge as optimal_ridge
from analysis.theory.linear_regression import optimal_ridge_excess_risk as optimal_ridge_excess_risk
from analysis.theory.linear_regression import ridge_excess_risk as ridge_excess_risk
from analysis.theory.linear_regression import ridgeless_excess_risk as ridgeless_excess_risk
from analysis.theory.linear_regression import (
    ridgeless_excess_risk_exact as ridgeless_excess_risk_exact,
)
from analysis.theory.linear_regression import second_descent_minimum as second_descent_minimum
from analysis.theory.over_smoothing import smoothed_accuracy as smoothed_accuracy
from analysis.theory.overfitting import EffectiveRanks as EffectiveRanks
from analysis.theory.overfitting import effective_ranks as effective_ranks
from analysis.theory.paired_views import Retrieval as Retrieval
from analysis.theory.paired_views import best_retrieval as best_retrieval
from analysis.theory.paired_views import log_density_ratio as log_density_ratio
from analysis.theory.paired_views import mutual_information as mutual_information
from analysis.theory.paired_views import sign_agreement as sign_agreement
from analysis.theory.random_features import RandomFeatureRisk as RandomFeatureRisk
from analysis.theory.random_features import random_feature_risk as random_feature_risk
from analysis.theory.recall import least_recall_loss as least_recall_loss
from analysis.theory.recall import recalled_bits as recalled_bits
from analysis.theory.sphere_features import RELU as RELU
from analysis.theory.sphere_features import Activation as Activation
from analysis.theory.sphere_features import (
    sphere_features_excess_risk as sphere_features_excess_risk,
)
from analysis.theory.training_time import (
    gradient_descent_excess_risk as gradient_descent_excess_risk,
)
from analysis.theory.training_time import gradient_flow_excess_risk as gradient_flow_excess_risk
from analysis.theory.training_time import many_scales_test_risk as many_scales_test_risk
from analysis.theory.training_time import marchenko_pastur_mean as marchenko_pastur_mean
