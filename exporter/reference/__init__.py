"""A version's reference: columns and their frozen bins, and live values placed in them.

`bins` defines columns and where their cells lie in a vector of counts, `profile` adds the reference's own
counts and natural variation, `binning` places a batch's values in cells, `classes` names a model's classes.
"""
