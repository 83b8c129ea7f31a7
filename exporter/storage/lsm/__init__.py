"""A log-structured merge tree on SQL tables, for rows that are found by random ids: see README.md.

`tree.LsmTree` is the facade; `records` are its rows. The other modules are its parts.
"""
