"""Plain error messages for YAML."""

from __future__ import annotations

import re

import yaml

# PyYAML's own messages are about tokens and events. The first pattern that matches applies.
PROBLEMS = {
    r"character '\\t'": "a tab; indent with spaces",
    r"found character '(.)'": "a value that begins with {0} has to be in quotes",
    r"mapping values are not allowed": "a second colon; put the value in quotes, or mend the indentation",
    r"unexpected end of stream": "a quote is not closed",
    r"unknown escape character '(.*)'": "\\{0} means nothing in double quotes; use single ones, or \\\\",
    r"undefined alias '(.*)'": "*{0} stands for nothing: no value above is marked with &{0}",
    r"recursive": "a value contains itself",
    r"unhashable key": "a key has to be a single value",
    r"another document": "a second document; only one is taken",
    r"expected '(?:,' or ')?[\]}]'": "a bracket is not closed, or a comma is missing",
    r"expected the node content": "a value is missing, or a bracket is not closed",
    r"expected <block end>": "this line is indented otherwise than those that it belongs to",
    r"could not find expected ':'": "a key without a colon",
    r"alphabetic or numeric": "a value that begins with * or & has to be in quotes",
}


def yaml_problem(error: yaml.MarkedYAMLError) -> str:
    """Return a plain message for an error of PyYAML."""
    said = str(error.problem)
    for pattern, clear in PROBLEMS.items():
        if found := re.search(pattern, said):
            return clear.format(*found.groups())
    return f"this is no YAML: {said}"
