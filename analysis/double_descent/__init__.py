"""Double descent in a curve of test error over size: threshold, peak and verdict over seeds.

`rows` checks a curve. Over seeds (`seeds`, `seed_noise`) `critical_size` finds threshold and peak,
and `verdict` judges; `turning_points` are those of smooth curves over training. `judge` takes
anybody's curve: by its seeds (`seeds_judgement`), or a single one by its smoothness
(`curve_judgement`, from `smooth_curve`, `drawn_shape` and `lone_point`). `complexity`,
`effective_parameters` and `label_memory` measure what may explain a curve.
"""
