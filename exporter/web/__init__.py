"""Pages for people: the state of all models, and a page per version.

They are rendered on the server and have no scripts.
"""
