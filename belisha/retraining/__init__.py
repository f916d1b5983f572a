"""Retraining put together: the policy, the triggers, review and the file that configures them; see docs/retraining.md."""
