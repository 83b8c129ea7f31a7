"""The HTTP API: takes predictions and labels, answers questions about models, serves `/metrics`.

`server` limits connections and `app` composes the application. Ingestion (`ingest_routes`) reads `bodies`,
waits for `answers` of the writer, and is documented by FastAPI but served ahead of it, in a third of the
time. `routes`, `rebaseline_routes` and `audit_routes` have all other operations. Requests and answers are
described by pydantic models (`schemas`, `views.schemas`); `problems` converts errors to RFC 9457,
`parameters` checks queries. `auth` checks the token and its scope or, without one, that no page of another
site is asking. `alert_routes` takes Alertmanager's webhook.
"""
