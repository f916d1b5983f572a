"""What is watched: dashboards, rules and runbooks as code, and the same stack on one machine."""
