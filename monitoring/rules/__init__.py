"""Recording rules and alerts for Prometheus, as code, and the file that the code generates."""
