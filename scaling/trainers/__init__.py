"""Execution of runs: closed-form solves, gradient training on examples, and training on tokens.

Training on tokens has the compiled functions in `token_step`, the loop on the host in `tokens`, and
checkpoints and the learning curve in `history`.
"""
