"""Locks in Django, in one file.

    gunicorn --workers 2 --threads 4 --preload django_app:application

In a project, put ``LOCK_MASTERS`` into the settings and the factory into a module of its own that views and commands import.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from redlock import ContendedError, NoQuorumError, RedLockFactory

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="an example's",
    ALLOWED_HOSTS=["127.0.0.1"],
    LOCK_MASTERS=os.environ["LOCK_MASTERS"].split(","),
    COUNTER=Path(os.environ["COUNTER"]),
)
locks = RedLockFactory(settings.LOCK_MASTERS)


def count(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """Add one, which takes reading and writing."""
    try:
        with locks.acquire("counter", ttl=10_000, timeout=10) as held:
            number = int(settings.COUNTER.read_text()) + 1
            settings.COUNTER.write_text(str(number))
            return JsonResponse({"count": number, "fence": held.fence})
    except ContendedError:
        return JsonResponse({"error": "busy"}, status=409)
    except NoQuorumError:
        return JsonResponse({"error": "no locks at the moment"}, status=503)


urlpatterns = [path("count", count)]
application = get_wsgi_application()
