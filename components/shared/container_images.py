"""The one table of container images: a component names its role, a deployment names the registry and the tag.

Read where a pipeline is compiled: BELISHA_IMAGE_PREFIX (default `belisha`) and BELISHA_IMAGE_TAG (default the version).
"""

from __future__ import annotations

import os

from belisha import __version__

ROLES = (
    *("acquire", "split", "baseline", "train", "validate", "compare", "release"),
    *("serve", "route", "drift", "review", "experiment"),
)


def image_of(role: str) -> str:
    """Reference of the image that runs a component; raises KeyError on an unknown role."""
    if role not in ROLES:
        raise KeyError(f"{role} is no image of ours; known are {', '.join(ROLES)}")
    prefix = os.environ.get("BELISHA_IMAGE_PREFIX", "belisha")
    tag = os.environ.get("BELISHA_IMAGE_TAG", __version__)
    return f"{prefix}/{role}:{tag}"
