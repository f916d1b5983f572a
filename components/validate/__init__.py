"""Validation of a model on pictures it has not seen; see `validate.validate`."""
