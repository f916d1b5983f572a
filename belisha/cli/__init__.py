"""The operator's command line: one file a verb, printers apart from the work."""
