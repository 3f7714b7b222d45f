"""No SQL statement changes the journal or the record of access, except by dropping their triggers."""

import pytest
from django.db import DatabaseError, connection, transaction

from school.access.access_log import Action, Door, Subject, record
from school.models import PersonalDataAccess
from students.enrollment import enroll
from students.models import EnrollmentEvent
from tests.support.factories import make_course, make_student

TABLES = {"students_enrollmentevent": EnrollmentEvent, "school_personaldataaccess": PersonalDataAccess}
STATEMENTS = {
    "sqlite": [
        "INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
        "REPLACE INTO {table} SELECT * FROM {table}",
        "UPDATE OR REPLACE {table} SET id = id + 1",
        "DELETE FROM {table}",
    ],
    "postgresql": ["TRUNCATE {table}", "TRUNCATE {table} CASCADE", "DELETE FROM {table}", "UPDATE {table} SET id = id"],
}


@pytest.mark.django_db
@pytest.mark.parametrize("table", TABLES)
def test_the_database_refuses_every_statement_that_changes_or_removes_an_entry(table, actor):
    enroll(student_id=make_student().pk, course_id=make_course().pk, actor=actor)
    record(Action.EXPORTED, Subject.ENROLLMENTS, Door.COMMAND)
    before = list(TABLES[table]._default_manager.values())

    for statement in STATEMENTS[connection.vendor]:
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement.format(table=table))

    assert (len(before), list(TABLES[table]._default_manager.values())) == (1, before)
