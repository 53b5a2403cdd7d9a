"""What to train next: a fitted law and a budget become sizes, tokens and runs.

`allocate` spends a budget on one model; `design` chooses the runs that reduce an uncertainty most;
`task_chain` predicts a task metric from a loss; `effective_data` says what a loss is worth in data.
"""
