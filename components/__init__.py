"""One folder a capability, each a container image of its own; `shared` is what several need."""
