"""One training run over many devices, planned on paper: memory, traffic, time of a step."""
