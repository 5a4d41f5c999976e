"""Django with its cache middleware's `cache_page` on Redis; WSGI, Django's fastest way: `granian django_cached:app`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.cache import cache_page

settings.configure(
    ALLOWED_HOSTS=["*"],
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["CACHE_URL"],
        }
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="bench",
)
BODY = json.loads(Path(os.environ["BODY"]).read_bytes())


@cache_page(600)
def patient(_: HttpRequest) -> JsonResponse:
    return JsonResponse(BODY)


urlpatterns = [path("", patient)]
django.setup()
app = WSGIHandler()
