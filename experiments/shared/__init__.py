"""What several experiments use.

`panels.py`: panels, marks and measured numbers. `language_models.py`: recipes, and runs as rows of
N, D, C and loss; `language_model_figures.py` draws them. `error_bars.py`: spread of losses over
seeds. `counting.py` and `staircase.py`: exponents under other counts and ways to train, for
`kaplan_vs_chinchilla`. `batch_frontier.py` and `batch_frontier_figures.py`: steps against batch
size, for `critical_batch`. `deep_descent.py`: runs of `deep_double_descent` along any axis.
"""
