"""The HTTP API: takes predictions and labels, answers questions about models, serves `/metrics`.

`server` limits connections and `app` composes the application. Ingestion (`ingest_routes`) is documented by
FastAPI and served by plain Starlette routes, which take a third of the time. Requests and answers are
described by pydantic models (`schemas`, `view_schemas`); `views` converts live state to answers, `problems`
errors to RFC 9457. `auth` checks the token or, without one, that no page of another site is asking.
`admin_client` is the client of the command line.
"""
