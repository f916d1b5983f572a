"""One file a verb of `kubectl belisha`."""
