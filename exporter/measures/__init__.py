"""Measures of drift, data quality and model quality: pure functions over arrays, one family per module.

Counts of bins are padded matrices (..., columns, bins) with a mask of the bins that each column has, so that
one call measures every column of every window; counts of labels are confusion matrices and histograms. The
functions use nothing else of the exporter but array types and the length of a day. NaN means that there is
no figure.
"""
