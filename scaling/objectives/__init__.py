"""What a run on tokens is asked to predict: an objective a file.

`objective.py` says what an objective offers: it turns windows of text into inputs, targets, weights
and what each sequence may see, all of one shape. `Causal`, `Prefix`, `Masked`, `Span`,
`Distilled` and `Labelled` are fields of `scaling.pretraining.Pretraining`, and so is a `Mixture` of
the first four.
"""
