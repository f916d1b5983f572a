"""Prometheus, Pushgateway and Alertmanager on one machine beside `belisha serve`, and a page of plots."""
