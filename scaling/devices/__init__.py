"""Devices of a run: the mesh, how arrays are sharded over it, and several processes."""
