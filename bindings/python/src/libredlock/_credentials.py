"""Credentials that an object of the application knows, like redis-py's ``CredentialProvider``."""

from __future__ import annotations

import logging
from typing import Any

from ._arguments import encode
from ._calls import call
from ._library import library
from .errors import ClosedError


def answer(factory: int, provider: Any) -> None:
    """Ask the provider, and tell the C library, which knows a factory no more that was closed meanwhile."""
    try:
        user, password = _checked(provider.get_credentials())
    except Exception as error:
        logging.getLogger("redlock").warning("the credential provider failed", exc_info=error)
        reason = f"{type(error).__name__}: {error}".replace("\0", " ")
        library.factory_refuse_credentials(factory, reason.encode(errors="replace"), None)
        return
    library.factory_set_credentials(factory, user, password, None)


def give(factory: int | None, username: str | None, password: str) -> None:
    """Set the credentials for connections from now on."""
    if not factory:
        raise ClosedError("the factory was closed")
    call(library.factory_set_credentials, factory, *_encoded(username, password))


def _checked(credentials: Any) -> tuple[bytes | None, bytes]:
    """Of a tuple of a password, or of a user name and a password, as redis-py has them."""
    if not isinstance(credentials, (tuple, list)) or len(credentials) not in (1, 2):
        # It is not shown: it might be the password itself.
        raise TypeError("get_credentials must return a tuple of a username and a password, or of a password")
    user, password = (None, *credentials)[-2:]
    return _encoded(user, password)


def _encoded(username: Any, password: Any) -> tuple[bytes | None, bytes]:
    user = None if username in (None, "") else encode(username, "the username")
    return user, encode(password, "the password")
