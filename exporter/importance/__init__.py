"""Importance of a model's columns: declared, or measured by permutation in a child process."""
