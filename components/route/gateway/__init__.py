"""The gateway for one machine: one address in front of champion and challenger.

It plays the service mesh where there is none. In a cluster it does not run: there Istio or Ambassador splits the traffic, sheds
load and drains, as the SeldonDeployment tells them, and the policy's rules run as the in-graph router.

It knows nothing of the ledger or of how predictors are started: whoever assembles it says which models serve where
(`Fleet.serve`).
"""

from belisha.components.route.gateway.fleet import Fleet, Offer
from belisha.components.route.gateway.gateway import Gateway, Sample
from belisha.components.route.gateway.settings import GatewaySettings

__all__ = ["Fleet", "Gateway", "GatewaySettings", "Offer", "Sample"]
