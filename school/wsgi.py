"""The entry point of a WSGI server."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "school.settings")
# A request holds a thread while it waits: it gives up early, and is answered 503.
os.environ.setdefault("LOCK_TIMEOUT", "5")
os.environ.setdefault("DATABASE_TIMEOUT", "5")

application = get_wsgi_application()
