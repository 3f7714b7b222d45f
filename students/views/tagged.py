"""What an enrollment's tag stands for."""

from school.api.conditional import ConditionalReads, State
from students.models import StudentCourse


class TaggedEnrollments(ConditionalReads):
    def state_of(self, row: StudentCourse) -> State:
        # Whatever an act changes, the version says. The place in line, and the names, change without one.
        student, course = row.student, row.course
        return (
            row.pk,
            row.version,
            row.waitlist_position,
            student.pk,
            student.student_number,
            student.given_name,
            student.family_name,
            course.pk,
            course.code,
            course.name,
            course.level,
            course.term and course.term.code,
        )
