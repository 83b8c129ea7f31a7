"""Live state as answers, for the HTTP API and the pages."""
