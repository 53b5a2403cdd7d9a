"""The compute-optimal size: approaches 1, 2 and 3 of Hoffmann et al. (arXiv:2203.15556).

Approach 1 follows the envelope of learning curves, approach 2 the minima of iso-FLOP curves,
approach 3 a fitted loss surface; `approaches` puts the three side by side.
"""
