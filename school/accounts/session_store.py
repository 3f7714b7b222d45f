"""Sessions in the database, like Django's ``db`` engine, loaded by a statement that is compiled once."""

from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone

from school.db.compiled_queries import PreparedQuery

SESSIONS_BY_KEY: PreparedQuery[Any] = PreparedQuery(
    lambda keys: Session.objects.filter(session_key__any_of=keys).values_list("session_data", "expire_date")
)


class SessionStore(db.SessionStore):
    def load(self) -> dict[str, Any]:
        for data, expires in SESSIONS_BY_KEY([self.session_key]) if self.session_key else ():
            if expires > timezone.now():
                return self.decode(data)
        return super().load()  # the base class clears the key of a session that does not exist
