"""The demo: a real model on real flights, whose input breaks while it is monitored.

`app` starts the `stack` of `processes` (MLflow, the exporter, the traffic, Prometheus and Alertmanager),
reads what they show (`observation`, `mailbox`) and displays it (`screen`) until the user or the mail of the
alert ends it. The traffic (`scorer`) is a process of its own, since it imports scikit-learn and MLflow: it
trains two models on `flights`, registers them (`training`) and replays later flights (`traffic`), which the
`scenario` breaks and mends; they are sent by `exporter.client` (`client`). Only `cli` imports this package.
"""
