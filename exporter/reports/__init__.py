"""Evidently's reports on a sample of live rows against the reference's.

From a verdict that turns bad to a run of MLflow:

1. `monitoring.journal` records the verdict, and in the same transaction `queue.add_for_verdicts` a report.
2. `worker` claims it, `gathering` collects its rows, columns and limits, `making` starts a child process.
3. In the child, `evidently_child` has `tables` clean the rows, `definition` choose the metrics, `running` run
   them and `document` write HTML and JSON; the worker stores the result and wakes `publishing`.
4. `sending` claims it again, and `mlflow_sender` logs it by `registry.report_runs`.
5. `incident` finds it for the link of an alert, which `api.report_routes` serves.
"""
