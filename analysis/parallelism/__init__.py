"""One training run over many devices, planned on paper: memory, traffic, time of a step.

A model (`shape`), a way to divide it (`layout`) and `devices` give `memory`, `traffic` and
`step_time` in closed form; `program` counts those of this project's own program. `plan` judges one
layout, and `choice` searches all of them. `published_runs` are what the plan is held against.
"""
