"""A scaling law with a known exponent: ridge regression on a power-law spectrum.

Claim: where covariance eigenvalues fall as i^-(1+a) and the power of the target along them as
i^-(1+b), the test error of (nearly) ridgeless regression falls with the number of examples as
n^-min(b, 2(1+a)).
Paper: Bordelon, Canatar, Pehlevan 2020 (arXiv 2002.02561); Simon et al. 2021 (arXiv 2110.03922),
eigenlearning; Spigler, Geiger, Wyart 2019 (arXiv 1905.10843) for the exponent.
Command: scaling run power_law_regression
Cost: 8 sizes x 24 seeds, about 20 s on two CPU cores.
Expected: the closed-form exponent inside the fitted 95 % interval.
"""
