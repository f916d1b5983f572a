"""Four dashboards for Grafana, as code, and the JSON that the code generates."""
