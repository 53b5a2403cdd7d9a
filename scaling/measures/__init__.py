"""Measures that take more than one run, or the weights of one.

`effective_complexity.py` finds how many examples a procedure can still fit; `trained.py` trains a
run again and keeps its weights, from which `sharpness.py` takes the top eigenvalue of the Hessian
and `bias_variance.py` splits the error by training sets and initial weights.
"""
