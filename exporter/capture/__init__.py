"""Capture of predictions from the events of inference loggers, such as KServe's.

An event (`events`) is half an exchange: a request, or the response to it. Halves meet in the waiting room
(`waiting`), whichever comes first. The inference service serves a model's version (`services`), in whose
terms the bodies are read (`exchanges`). `capture` does all of this and hands the rows to the writer.
"""
