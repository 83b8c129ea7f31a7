"""Bodies of model servers: requests and answers -> columns of Python values.

`invocations` reads requests to MLflow's scoring server, `answers` its answers, `documents` the bytes before
that; `limits` bounds a request. One decoder serves `POST /v1/predictions` and what is captured in services,
which import this package: standard library only.
"""
