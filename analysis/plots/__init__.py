"""Figures fit for print: drawing functions that never fit, read files or open windows."""
