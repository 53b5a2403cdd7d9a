"""What executes a run: closed-form solves, gradient training and training on tokens."""
