"""Everything that is read from and written to MLflow, and the only user of its client outside the demo.

`registry.Registry` polls models, versions and aliases (`models`), finds the reference of a version
(`sources`, `mlmodel`), sets aliases and tags, logs reports (`report_runs`), and lists experiments and runs
(`runs`). `client` bounds MLflow's client in time, `client_errors` translates its errors, and `mlflow_uri`
checks MLflow's URI.
"""
