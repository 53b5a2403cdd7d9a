"""Execution of runs: closed-form solves, gradient training on examples, and training on tokens.

Training on tokens has its functions on the device in `token_step` and `token_evaluation`, compiled
in `token_programs`, the loop on the host in `tokens`, and checkpoints and the learning curve in
`history`.
"""
