"""HTTP: routes, wire models, errors to status codes."""
