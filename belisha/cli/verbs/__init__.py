"""One module a verb (or a few that belong together); each offers `register(app)`, which the entry point calls."""
