"""One run: a RunConfig goes in, a RunRecord comes out.

The files at the top hold the configuration, its identity, its cost, the record and `run`. The
folders hold data sources, model families, trainers and devices. Nothing here knows of sweeps.
"""
