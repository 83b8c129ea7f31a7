"""Evidently's reports on a sample of live rows against the reference's.

They are made in a child process, on a schedule, when a verdict turns bad or on request, stored, and sent to
MLflow and to Evidently's own UI.
"""
