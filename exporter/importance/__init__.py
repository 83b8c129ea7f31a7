"""Importance of a model's columns, measured by permutation in a child process.

To load a model runs its code. So it is loaded in a process that has no credentials, no network and no files
but the model's, and ends after one call: `measuring` starts it, `permutation` is what it does.
"""
