"""Measures of drift, data quality and model quality: pure functions over arrays, one file per family.

Counts of bins come as padded matrices (..., columns, bins) with a mask that says which bins a column has, so
that one call measures every column of every window; counts of labels come as confusion matrices and
histograms. Nothing in here knows where counts come from, what a column is called, or how a figure is shown.
NaN means that there is no figure.
"""
