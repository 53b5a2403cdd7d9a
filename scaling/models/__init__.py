"""Model families, a family a file: a configuration that builds a Model and counts its cost.

`family` says what a family offers, `built` checks it, `parametrization` scales initial weights and
learning rates. The Transformer has its configuration, its `Architecture`, its layers and its
computation in a file each; the first two load no JAX.
"""
