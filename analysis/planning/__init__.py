"""What to train next: a fitted law and a budget become sizes, tokens and runs.

`allocate` spends a budget on one model; `design` chooses the runs that teach most; `task_chain`
carries a loss on to a task metric.
"""
