"""Who may use which model and when: one policy, used by the local gateway and by Seldon's in-graph router alike."""

from belisha.components.route.policy import Policy, Rule, When, read_policy
from belisha.components.route.routing import Caller, Denied, Route, Target, route

__all__ = ["Caller", "Denied", "Policy", "Route", "Rule", "Target", "When", "read_policy", "route"]
