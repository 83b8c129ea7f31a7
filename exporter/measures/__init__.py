"""Measures of drift and data quality: pure functions over arrays, one file per family.

Counts come as padded matrices (..., columns, bins) with a mask that says which bins a column has, so that one
call measures every column of every window. Nothing in here knows where counts come from, what a column is
called, or how a figure is shown. NaN means that there is no figure.
"""
