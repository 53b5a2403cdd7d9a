"""Replicates of a fit: which rows or residuals are drawn, and the intervals that follow."""
