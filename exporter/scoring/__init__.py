"""MLflow's scoring server with its predictions sent to the exporter: `mlflow-exporter serve-model`.

`source` finds the version that a model's URI means and its files, `app` makes the ASGI application of each
worker: that of `mlflow.pyfunc.scoring_server` within `MonitoringMiddleware`. Only `cli` imports this package.
"""
