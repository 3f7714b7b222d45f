"""The tables of students and enrollments."""

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.text
import django.utils.timezone
import simple_history.models
from django.conf import settings
from django.db import migrations, models

import school.validators
from school.migration_helpers import refuse_changes, run_deferred_statements, set_markers_of_writers
from students.migrations import _search_indexes


class Migration(migrations.Migration):
    replaces = [
        ("students", "0001_initial"),
        ("students", "0003_waitlist_and_waivers"),
        ("students", "0004_append_only_journal"),
        ("students", "0006_event_of_import"),
        ("students", "0008_enrollments_by_status"),
        ("students", "0009_search_of_students"),
        ("students", "0010_roster_in_order"),
        ("students", "0011_erased_students"),
        ("students", "0013_completing"),
        ("students", "0015_clicks_in_the_journal"),
        ("students", "0016_refused_acts"),
        ("students", "0018_remove_orphan_refusals"),
        ("students", "0019_refusals_have_foreign_keys"),
        ("students", "0020_journal_refuses_truncate"),
        ("students", "0021_people_with_one_name"),
        ("students", "0022_normalized_texts"),
        ("students", "0023_student_has_a_name"),
        ("students", "0024_erased_numbers"),
        ("students", "0025_erased_student_keeps_pseudonym"),
        ("students", "0026_reason_of_event_in_parts"),
        ("students", "0027_adopted_enrollments"),
        ("students", "0028_plain_texts"),
        ("students", "0029_enrollment_by_course"),
        ("students", "0031_credits"),
        ("students", "0032_swaps"),
        ("students", "0033_course_cancellations"),
        ("students", "0034_holds"),
        ("students", "0036_markers_of_history"),
    ]

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("bulk", "0001_tables"),
        ("courses", "0001_tables"),
    ]

    operations = [
        migrations.CreateModel(
            name="Student",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "student_number",
                    models.CharField(
                        help_text="Text: leading zeros are kept.",
                        max_length=64,
                        unique=True,
                        validators=[school.validators.identifier],
                        verbose_name="student number",
                    ),
                ),
                (
                    "given_name",
                    models.CharField(
                        blank=True,
                        help_text="A person with one name has it in one of the two fields.",
                        max_length=150,
                        validators=[school.validators.plain_text],
                        verbose_name="given name",
                    ),
                ),
                (
                    "family_name",
                    models.CharField(
                        blank=True,
                        max_length=150,
                        validators=[school.validators.plain_text],
                        verbose_name="family name",
                    ),
                ),
                (
                    "email",
                    models.EmailField(
                        blank=True,
                        max_length=254,
                        validators=[school.validators.plain_text, school.validators.email_domain],
                        verbose_name="email",
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("erased_at", models.DateTimeField(blank=True, editable=False, null=True, verbose_name="erased at")),
                (
                    "max_credits",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="The credits that this student may take in a term. Empty: the maximum of the term.",
                        max_digits=5,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                        verbose_name="maximum credits",
                    ),
                ),
                ("has_holds", models.BooleanField(editable=False, null=True, verbose_name="on hold")),
            ],
            options={
                "verbose_name": "student",
                "verbose_name_plural": "students",
                "ordering": ["family_name", "given_name", "id"],
                "indexes": [models.Index(fields=["family_name", "given_name", "id"], name="student_by_name")],
                "constraints": [
                    models.UniqueConstraint(
                        django.db.models.functions.text.Lower("email"),
                        condition=models.Q(("email", ""), _negated=True),
                        name="student_email_is_unique",
                        violation_error_code="unique",
                        violation_error_message="Another student has this email address.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("family_name", ""), ("given_name", ""), _negated=True),
                            ("erased_at__isnull", False),
                            _connector="OR",
                        ),
                        name="student_has_a_name",
                        violation_error_code="blank",
                        violation_error_message="Give at least one name.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("erased_at__isnull", True),
                            models.Q(
                                ("email", ""),
                                ("family_name", ""),
                                ("given_name", ""),
                                ("is_active", False),
                                (
                                    "student_number",
                                    django.db.models.functions.text.Concat(
                                        models.Value("erased-"),
                                        django.db.models.functions.comparison.Cast("id", models.CharField()),
                                    ),
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="student_is_nobody_once_erased",
                        violation_error_code="erased",
                        violation_error_message="The data of this student was erased and cannot be entered again.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("max_credits__gte", 0)),
                        name="student_max_credits_is_not_negative",
                        violation_error_code="min_value",
                        violation_error_message="Credits cannot be negative.",
                    ),
                ],
                "permissions": [
                    ("export_personal_data", "Can export all that is held on a student"),
                    ("erase_student", "Can erase the personal data of a student"),
                ],
            },
        ),
        migrations.CreateModel(
            name="HistoricalStudent",
            fields=[
                ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                (
                    "student_number",
                    models.CharField(
                        db_index=True,
                        help_text="Text: leading zeros are kept.",
                        max_length=64,
                        validators=[school.validators.identifier],
                        verbose_name="student number",
                    ),
                ),
                (
                    "given_name",
                    models.CharField(
                        blank=True,
                        help_text="A person with one name has it in one of the two fields.",
                        max_length=150,
                        validators=[school.validators.plain_text],
                        verbose_name="given name",
                    ),
                ),
                (
                    "family_name",
                    models.CharField(
                        blank=True,
                        max_length=150,
                        validators=[school.validators.plain_text],
                        verbose_name="family name",
                    ),
                ),
                (
                    "email",
                    models.EmailField(
                        blank=True,
                        max_length=254,
                        validators=[school.validators.plain_text, school.validators.email_domain],
                        verbose_name="email",
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("history_id", models.AutoField(primary_key=True, serialize=False)),
                ("history_date", models.DateTimeField(db_index=True)),
                ("history_change_reason", models.CharField(max_length=100, null=True)),
                (
                    "history_type",
                    models.CharField(choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1),
                ),
                (
                    "history_user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "max_credits",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="The credits that this student may take in a term. Empty: the maximum of the term.",
                        max_digits=5,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                        verbose_name="maximum credits",
                    ),
                ),
            ],
            options={
                "verbose_name": "historical student",
                "verbose_name_plural": "historical students",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="StudentCourse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waitlisted", "waitlisted"),
                            ("enrolled", "enrolled"),
                            ("completed", "completed"),
                            ("dropped", "dropped"),
                            ("withdrawn", "withdrawn"),
                        ],
                        max_length=16,
                        verbose_name="status",
                    ),
                ),
                ("enrolled_on", models.DateField(blank=True, null=True, verbose_name="enrolled on")),
                ("ended_on", models.DateField(blank=True, null=True, verbose_name="ended on")),
                ("waitlisted_at", models.DateTimeField(blank=True, null=True, verbose_name="waitlisted at")),
                ("grade", models.CharField(blank=True, max_length=32, verbose_name="grade")),
                ("version", models.PositiveIntegerField(default=1, verbose_name="version")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="created at")),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="updated at")),
                (
                    "course",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="enrollments",
                        to="courses.course",
                        verbose_name="course",
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="enrollments",
                        to="students.student",
                        verbose_name="student",
                    ),
                ),
                (
                    "instead_of",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        help_text="The course that the student leaves for a seat in this one.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="courses.course",
                        verbose_name="instead of",
                    ),
                ),
            ],
            options={
                "verbose_name": "enrollment",
                "verbose_name_plural": "enrollments",
                "ordering": ["-id"],
                "default_permissions": ("add", "change", "view"),
                "indexes": [
                    models.Index(fields=["student", "course"], name="enrollment_by_student"),
                    models.Index(
                        condition=models.Q(("status__in", ("waitlisted", "enrolled"))),
                        fields=["id"],
                        name="enrollment_open",
                    ),
                    models.Index(fields=["updated_at", "id"], name="enrollment_by_change"),
                    models.Index(
                        condition=models.Q(("status__in", ("waitlisted", "enrolled"))),
                        fields=["updated_at", "id"],
                        name="enrollment_open_by_change",
                    ),
                    models.Index(
                        condition=models.Q(("status", "waitlisted")),
                        fields=["course", "waitlisted_at", "id"],
                        name="enrollment_in_line",
                    ),
                    models.Index(fields=["status", "id"], name="enrollment_by_status"),
                    models.Index(fields=["course", "id", "status"], name="enrollment_on_roster"),
                    models.Index(fields=["course", "status", "updated_at"], name="enrollment_by_course"),
                    models.Index(
                        condition=models.Q(("instead_of__isnull", False)),
                        fields=["course"],
                        name="enrollment_replacing",
                    ),
                    models.Index(
                        condition=models.Q(("instead_of__isnull", False)),
                        fields=["instead_of"],
                        name="enrollment_replaced",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status__in", ("waitlisted", "enrolled"))),
                        fields=("student", "course"),
                        name="enrollment_is_open_once",
                        violation_error_code="unique",
                        violation_error_message="This student is enrolled in this course already.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_on__isnull", True), ("status__in", ("waitlisted", "enrolled"))),
                            models.Q(
                                ("ended_on__isnull", False), ("status__in", ("completed", "dropped", "withdrawn"))
                            ),
                            _connector="OR",
                        ),
                        name="enrollment_has_ended_when_not_open",
                        violation_error_message="An open enrollment has no end date, and an ended enrollment has one.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ended_on__gte", models.F("enrolled_on"))),
                        name="enrollment_ends_after_it_starts",
                        violation_error_code="dates_reversed",
                        violation_error_message="An enrollment cannot end before it starts.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", "waitlisted"), _negated=True),
                            models.Q(("enrolled_on__isnull", True), ("waitlisted_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="enrollment_waits_since_an_instant",
                        violation_error_message=(
                            "A waitlisted enrollment has the time when the wait began, and no day of enrollment."
                        ),
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status__in", ["enrolled", "completed"]), _negated=True),
                            ("enrolled_on__isnull", False),
                            _connector="OR",
                        ),
                        name="enrollment_has_a_day_of_enrollment",
                        violation_error_message="An enrollment that is or was enrolled has a day of enrollment.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("grade", ""), ("status", "completed"), _connector="OR"),
                        name="enrollment_is_graded_when_completed",
                        violation_error_message="Only a completed enrollment has a grade.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("instead_of__isnull", True),
                            models.Q(
                                ("status", "waitlisted"), models.Q(("instead_of", models.F("course")), _negated=True)
                            ),
                            _connector="OR",
                        ),
                        name="enrollment_replaces_another_course_while_it_waits",
                        violation_error_message="Only a waitlisted enrollment replaces a course, and a different one.",
                    ),
                ],
                "permissions": [
                    ("waive_rules", "Can waive rules about enrollment"),
                    ("complete_enrollments", "Can complete enrollments, with a grade"),
                ],
            },
        ),
        migrations.AddField(
            model_name="student",
            name="courses",
            field=models.ManyToManyField(
                related_name="students",
                through="students.StudentCourse",
                through_fields=("student", "course"),
                to="courses.course",
                verbose_name="courses",
            ),
        ),
        migrations.CreateModel(
            name="EnrollmentEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("enroll", "enrolled"),
                            ("drop", "dropped"),
                            ("complete", "completed"),
                            ("undo", "undone"),
                            ("promote", "promoted"),
                            ("pass_over", "passed over"),
                            ("adopt", "adopted"),
                        ],
                        max_length=16,
                        verbose_name="action",
                    ),
                ),
                ("at", models.DateTimeField(verbose_name="at")),
                (
                    "channel",
                    models.CharField(
                        choices=[
                            ("api", "API"),
                            ("admin", "admin"),
                            ("import", "import"),
                            ("command", "command"),
                            ("system", "system"),
                        ],
                        max_length=16,
                        verbose_name="channel",
                    ),
                ),
                (
                    "from_status",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("waitlisted", "waitlisted"),
                            ("enrolled", "enrolled"),
                            ("completed", "completed"),
                            ("dropped", "dropped"),
                            ("withdrawn", "withdrawn"),
                        ],
                        max_length=16,
                        verbose_name="from",
                    ),
                ),
                (
                    "to_status",
                    models.CharField(
                        choices=[
                            ("waitlisted", "waitlisted"),
                            ("enrolled", "enrolled"),
                            ("completed", "completed"),
                            ("dropped", "dropped"),
                            ("withdrawn", "withdrawn"),
                        ],
                        max_length=16,
                        verbose_name="to",
                    ),
                ),
                ("changes", models.JSONField(default=dict, verbose_name="changes")),
                ("reason", models.TextField(blank=True, verbose_name="reason")),
                ("waived", models.JSONField(default=list, verbose_name="waived rules")),
                ("request_id", models.CharField(blank=True, max_length=64, verbose_name="request id")),
                (
                    "actor",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="actor",
                    ),
                ),
                (
                    "enrollment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="events",
                        to="students.studentcourse",
                        verbose_name="enrollment",
                    ),
                ),
                ("refusals", models.JSONField(default=list, verbose_name="refusals")),
                (
                    "file_import",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="bulk.import",
                        verbose_name="import",
                    ),
                ),
                ("reason_parts", models.JSONField(blank=True, editable=False, null=True)),
            ],
            options={
                "verbose_name": "journal entry",
                "verbose_name_plural": "journal",
                "ordering": ["id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("file_import__isnull", False)),
                        fields=["file_import", "id"],
                        name="event_by_import",
                    ),
                    models.Index(
                        condition=models.Q(("channel__in", ["admin", "system"])),
                        fields=["request_id"],
                        name="event_by_click",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RefusedAct",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(verbose_name="day")),
                ("at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="at")),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("enroll", "enrolled"),
                            ("drop", "dropped"),
                            ("complete", "completed"),
                            ("undo", "undone"),
                            ("promote", "promoted"),
                            ("pass_over", "passed over"),
                            ("adopt", "adopted"),
                        ],
                        max_length=16,
                        verbose_name="action",
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=[
                            ("api", "API"),
                            ("admin", "admin"),
                            ("import", "import"),
                            ("command", "command"),
                            ("system", "system"),
                        ],
                        max_length=16,
                        verbose_name="channel",
                    ),
                ),
                ("codes", models.CharField(max_length=255, verbose_name="reasons")),
                (
                    "course",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="courses.course",
                        verbose_name="course",
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="students.student",
                        verbose_name="student",
                    ),
                ),
            ],
            options={
                "verbose_name": "refusal",
                "verbose_name_plural": "refusals",
                "ordering": ["-day", "-at", "-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(fields=("day", "student", "course"), name="refused_act_is_one_a_day")
                ],
            },
        ),
        migrations.CreateModel(
            name="CourseCancellation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(verbose_name="at")),
                (
                    "channel",
                    models.CharField(
                        choices=[
                            ("api", "API"),
                            ("admin", "admin"),
                            ("import", "import"),
                            ("command", "command"),
                            ("system", "system"),
                        ],
                        max_length=16,
                        verbose_name="channel",
                    ),
                ),
                ("reason", models.TextField(verbose_name="reason")),
                ("request_id", models.CharField(blank=True, max_length=64, verbose_name="request id")),
                ("was_active", models.BooleanField(default=True)),
                ("undone_at", models.DateTimeField(blank=True, null=True, verbose_name="undone at")),
                (
                    "actor",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="actor",
                    ),
                ),
                (
                    "course",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cancellations",
                        to="courses.course",
                        verbose_name="course",
                    ),
                ),
                (
                    "undone_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="undone by",
                    ),
                ),
            ],
            options={
                "verbose_name": "cancellation of a course",
                "verbose_name_plural": "cancellations of courses",
                "ordering": ["-id"],
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("undone_at__isnull", True)),
                        fields=("course",),
                        name="course_is_cancelled_once",
                        violation_error_code="unique",
                        violation_error_message="This course is cancelled already.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Hold",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "code",
                    models.CharField(
                        help_text="The kind of hold. Refusals name it.",
                        max_length=32,
                        validators=[school.validators.identifier],
                        verbose_name="code",
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        help_text="Refusals do not show it.",
                        max_length=500,
                        validators=[school.validators.plain_text],
                        verbose_name="reason",
                    ),
                ),
                (
                    "starts_on",
                    models.DateField(
                        blank=True,
                        help_text="Empty: at once.",
                        null=True,
                        validators=[school.validators.in_our_times],
                        verbose_name="from",
                    ),
                ),
                (
                    "ends_on",
                    models.DateField(
                        blank=True,
                        help_text="Empty: until it is released.",
                        null=True,
                        validators=[school.validators.in_our_times],
                        verbose_name="until",
                    ),
                ),
                ("placed_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="placed at")),
                ("released_at", models.DateTimeField(blank=True, null=True, verbose_name="released at")),
                (
                    "placed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="placed by",
                    ),
                ),
                (
                    "placed_import",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="bulk.import",
                        verbose_name="placed by import",
                    ),
                ),
                (
                    "released_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="released by",
                    ),
                ),
                (
                    "released_import",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="bulk.import",
                        verbose_name="released by import",
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="holds",
                        to="students.student",
                        verbose_name="student",
                    ),
                ),
                (
                    "term",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: all courses.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="courses.term",
                        verbose_name="term",
                    ),
                ),
            ],
            options={
                "verbose_name": "hold",
                "verbose_name_plural": "holds",
                "ordering": ["id"],
                "default_permissions": ("add", "change", "view"),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("released_at", None)),
                        fields=("student", "code", "term"),
                        name="hold_is_open_once_in_term",
                        violation_error_code="unique",
                        violation_error_message="The student has this hold already.",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("released_at", None), ("term", None)),
                        fields=("student", "code"),
                        name="hold_is_open_once",
                        violation_error_code="unique",
                        violation_error_message="The student has this hold already.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ends_on__gte", models.F("starts_on"))),
                        name="hold_ends_after_it_starts",
                        violation_error_code="dates_reversed",
                        violation_error_message="A hold cannot end before it starts.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("released_at__isnull", False),
                            models.Q(("released_by", None), ("released_import", None)),
                            _connector="OR",
                        ),
                        name="hold_is_released_at_a_time",
                        violation_error_message="Only a hold that has been released was released by somebody.",
                    ),
                ],
            },
        ),
        refuse_changes("students_enrollmentevent", "journal", "The journal of enrollments is append-only."),
        set_markers_of_writers("students_historicalstudent", 0x5C51),
        migrations.RunPython(_search_indexes.create, _search_indexes.drop),
        run_deferred_statements(),
    ]
