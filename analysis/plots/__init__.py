"""Figures for print: drawing functions that take axes, and never fit, read files or open windows.

`style` holds sizes, colours and the one way to save; `ticks` the scales and labels of axes; `rows`
the rows of a fit and how they are split into series. Each other file draws one kind of panel.
"""
