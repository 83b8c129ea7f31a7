"""Configuration: the file `exporter.yml`, and the tags of MLflow that override it.

`file` reads it and says what is wrong, line by line. `models` is what may be said about a model;
`remediation` and `targets` are the section on remediation.
"""
