"""Devices of a run: the mesh, how arrays are sharded over it, and several processes.

`runtime` records the machine, and `throughput` how fast it was.
"""
