"""Uniform sample of raw live rows, per version and block of time, for reports and new references.

In each block the rows with the lowest hashes of their ids are kept: bottom-k sampling (Cohen and Kaplan,
"Summarizing data using bottom-k sketches", 2007). Samples of several exporters merge into one by the lowest
of all, and a row that is sent again changes nothing.
"""
