"""Who we are to the KFP API: nobody, the bearer of a token in a file, or a pod's projected service account.

A standalone installation asks nothing. A multi-user one takes a service-account token with the audience
`pipelines.kubeflow.org`, which Kubernetes projects into the pod and renews: so it is read anew for every request.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from belisha.components.shared.errors import InputError

TOKEN_AUDIENCE = "pipelines.kubeflow.org"
TOKEN_PATH_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
PROJECTED_TOKEN_PATH = Path("/var/run/secrets/kubeflow/pipelines/token")
_MOST_BYTES = 65_536

# The token for the next request; None sends no Authorization header.
TokenSource = Callable[[], str | None]


def no_token() -> str | None:
    """For an installation that asks nothing."""
    return None


def token_file(path: Path) -> TokenSource:
    """The token that lies in a file at the moment of each request; reading it raises InputError."""

    def read() -> str:
        try:
            with path.open("rb") as stream:
                text = stream.read(_MOST_BYTES + 1).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"the token file {path} cannot be read ({type(error).__name__}): mount a projected service-account token "
                f"with the audience {TOKEN_AUDIENCE}, or name another file"
            ) from None
        if (
            not text
            or len(text) > _MOST_BYTES
            or any(not character.isprintable() or character == " " for character in text)
        ):
            raise InputError(f"the token file {path} holds no token: it must be one word without spaces or line breaks")
        return text

    return read


def projected_token(environment: Mapping[str, str] = os.environ) -> TokenSource:
    """The pod's projected token where there is one, as kfp finds it; otherwise no token at all."""
    named = environment.get(TOKEN_PATH_VARIABLE)
    if named:
        return token_file(Path(named))
    return token_file(PROJECTED_TOKEN_PATH) if PROJECTED_TOKEN_PATH.is_file() else no_token
