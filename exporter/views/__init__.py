"""Live state as answers, with the reason for every missing figure: for the HTTP API and for the pages.

`versions` converts it, `schemas` describes the answers, `paths` has the addresses of versions.
"""
