"""Serving on one machine, assembled: predictor processes that follow the ledger, and the gateway in front of them."""
