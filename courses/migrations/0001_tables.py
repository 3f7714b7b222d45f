"""The tables of terms, courses and grades."""

import django.core.validators
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models

import school.validators
from school.migration_helpers import run_deferred_statements, set_markers_of_writers


class Migration(migrations.Migration):
    replaces = [
        ("courses", "0001_initial"),
        ("courses", "0002_course_staff"),
        ("courses", "0003_drop_deadlines_into_their_terms"),
        ("courses", "0004_drop_deadline_within_term"),
        ("courses", "0005_plain_names"),
        ("courses", "0006_normalized_texts"),
        ("courses", "0007_plain_texts"),
        ("courses", "0008_grades"),
        ("courses", "0009_course_section"),
        ("courses", "0010_credits"),
        ("courses", "0011_census_days"),
        ("courses", "0012_meetings"),
        ("courses", "0013_corequisites"),
        ("courses", "0014_markers_of_history"),
    ]

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        # Its migrations render all models that exist, so they run before: this halves the time of `migrate`.
        ("oauth2_provider", "0022_refreshtoken_token_family_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="Term",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "code",
                    models.CharField(
                        max_length=32, unique=True, validators=[school.validators.identifier], verbose_name="code"
                    ),
                ),
                (
                    "name",
                    models.CharField(max_length=200, validators=[school.validators.plain_text], verbose_name="name"),
                ),
                ("starts_on", models.DateField(validators=[school.validators.in_our_times], verbose_name="starts on")),
                ("ends_on", models.DateField(validators=[school.validators.in_our_times], verbose_name="ends on")),
                (
                    "drop_deadline",
                    models.DateField(
                        blank=True,
                        help_text=(
                            "A student who leaves a course on or before this date is marked dropped; after it,"
                            " withdrawn. Empty: always dropped."
                        ),
                        null=True,
                        verbose_name="drop deadline",
                    ),
                ),
                (
                    "max_credits",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text=(
                            "The credits that a student may take in this term, unless the student has another maximum."
                        ),
                        max_digits=5,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                        verbose_name="maximum credits",
                    ),
                ),
                (
                    "census_on",
                    models.DateField(
                        blank=True,
                        help_text="The day as of which enrollments are counted.",
                        null=True,
                        verbose_name="census day",
                    ),
                ),
            ],
            options={
                "verbose_name": "term",
                "verbose_name_plural": "terms",
                "ordering": ["-starts_on", "code"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("ends_on__gte", models.F("starts_on"))),
                        name="term_ends_after_it_starts",
                        violation_error_code="dates_reversed",
                        violation_error_message="A term cannot end before it starts.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("drop_deadline__gte", models.F("starts_on")), ("drop_deadline__lte", models.F("ends_on"))
                        ),
                        name="term_drop_deadline_is_within_its_dates",
                        violation_error_code="drop_deadline_outside_term",
                        violation_error_message=(
                            "The drop deadline must lie between the first and the last day of the term."
                        ),
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("max_credits__gte", 0)),
                        name="term_max_credits_is_not_negative",
                        violation_error_code="min_value",
                        violation_error_message="Credits cannot be negative.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("census_on__gte", models.F("starts_on")), ("census_on__lte", models.F("ends_on"))
                        ),
                        name="term_census_is_within_its_dates",
                        violation_error_code="census_outside_term",
                        violation_error_message=(
                            "The census day must lie between the first and the last day of the term."
                        ),
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="HistoricalTerm",
            fields=[
                ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                (
                    "code",
                    models.CharField(
                        db_index=True, max_length=32, validators=[school.validators.identifier], verbose_name="code"
                    ),
                ),
                (
                    "name",
                    models.CharField(max_length=200, validators=[school.validators.plain_text], verbose_name="name"),
                ),
                ("starts_on", models.DateField(validators=[school.validators.in_our_times], verbose_name="starts on")),
                ("ends_on", models.DateField(validators=[school.validators.in_our_times], verbose_name="ends on")),
                (
                    "drop_deadline",
                    models.DateField(
                        blank=True,
                        help_text=(
                            "A student who leaves a course on or before this date is marked dropped; after it,"
                            " withdrawn. Empty: always dropped."
                        ),
                        null=True,
                        verbose_name="drop deadline",
                    ),
                ),
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
                        help_text=(
                            "The credits that a student may take in this term, unless the student has another maximum."
                        ),
                        max_digits=5,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                        verbose_name="maximum credits",
                    ),
                ),
                (
                    "census_on",
                    models.DateField(
                        blank=True,
                        help_text="The day as of which enrollments are counted.",
                        null=True,
                        verbose_name="census day",
                    ),
                ),
            ],
            options={
                "verbose_name": "historical term",
                "verbose_name_plural": "historical terms",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="Course",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "code",
                    models.CharField(max_length=64, validators=[school.validators.identifier], verbose_name="code"),
                ),
                (
                    "name",
                    models.CharField(max_length=200, validators=[school.validators.plain_text], verbose_name="name"),
                ),
                (
                    "level",
                    models.CharField(
                        choices=[
                            ("introductory", "introductory"),
                            ("intermediate", "intermediate"),
                            ("advanced", "advanced"),
                            ("graduate", "graduate"),
                        ],
                        max_length=16,
                        verbose_name="level",
                    ),
                ),
                (
                    "capacity",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="The maximum number of enrolled students. Empty: no limit; 0: closed.",
                        null=True,
                        validators=[django.core.validators.MaxValueValidator(2147483647)],
                        verbose_name="capacity",
                    ),
                ),
                (
                    "waitlist_capacity",
                    models.PositiveIntegerField(
                        blank=True,
                        default=0,
                        null=True,
                        validators=[django.core.validators.MaxValueValidator(2147483647)],
                        verbose_name="waitlist capacity",
                    ),
                ),
                (
                    "enrollment_opens_at",
                    models.DateTimeField(
                        blank=True,
                        null=True,
                        validators=[school.validators.in_our_times],
                        verbose_name="enrollment opens at",
                    ),
                ),
                (
                    "enrollment_closes_at",
                    models.DateTimeField(
                        blank=True,
                        null=True,
                        validators=[school.validators.in_our_times],
                        verbose_name="enrollment closes at",
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "prerequisites",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="The codes of the courses that must be completed first, in any term.",
                        verbose_name="prerequisites",
                    ),
                ),
                (
                    "term",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="courses",
                        to="courses.term",
                        verbose_name="term",
                    ),
                ),
                (
                    "section",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Distinguishes several courses with the same code in a term.",
                        max_length=16,
                        validators=[school.validators.identifier],
                        verbose_name="section",
                    ),
                ),
                (
                    "credits",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="The credits that count toward the maximum of a student in the term.",
                        max_digits=5,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                        verbose_name="credits",
                    ),
                ),
                (
                    "meetings",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="The weekly meetings, in local time.",
                        verbose_name="meetings",
                    ),
                ),
                (
                    "corequisites",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="The codes of the courses that must be taken in the same term, or passed before.",
                        verbose_name="corequisites",
                    ),
                ),
            ],
            options={
                "verbose_name": "course",
                "verbose_name_plural": "courses",
                "ordering": ["code", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("capacity__gte", 0)),
                        name="course_capacity_is_not_negative",
                        violation_error_code="min_value",
                        violation_error_message="A capacity cannot be negative.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("waitlist_capacity__gte", 0)),
                        name="course_waitlist_capacity_is_not_negative",
                        violation_error_code="min_value",
                        violation_error_message="A waitlist's capacity cannot be negative.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("enrollment_closes_at__gt", models.F("enrollment_opens_at"))),
                        name="course_enrollment_closes_after_it_opens",
                        violation_error_code="dates_reversed",
                        violation_error_message="Enrollment cannot close before it opens.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("level__in", ["introductory", "intermediate", "advanced", "graduate"])),
                        name="course_level_is_known",
                        violation_error_code="invalid_choice",
                        violation_error_message="This level is not known.",
                    ),
                    models.UniqueConstraint(
                        fields=("code", "term", "section"),
                        name="course_code_is_unique_in_a_term",
                        violation_error_code="unique",
                        violation_error_message="This term has a course with this code and section already.",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("term__isnull", True)),
                        fields=("code", "section"),
                        name="course_code_is_unique_without_a_term",
                        violation_error_code="unique",
                        violation_error_message=(
                            "There is a course with this code and section and without a term already."
                        ),
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("credits__gte", 0)),
                        name="course_credits_are_not_negative",
                        violation_error_code="min_value",
                        violation_error_message="Credits cannot be negative.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="HistoricalCourse",
            fields=[
                ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                (
                    "code",
                    models.CharField(max_length=64, validators=[school.validators.identifier], verbose_name="code"),
                ),
                (
                    "name",
                    models.CharField(max_length=200, validators=[school.validators.plain_text], verbose_name="name"),
                ),
                (
                    "level",
                    models.CharField(
                        choices=[
                            ("introductory", "introductory"),
                            ("intermediate", "intermediate"),
                            ("advanced", "advanced"),
                            ("graduate", "graduate"),
                        ],
                        max_length=16,
                        verbose_name="level",
                    ),
                ),
                (
                    "capacity",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="The maximum number of enrolled students. Empty: no limit; 0: closed.",
                        null=True,
                        validators=[django.core.validators.MaxValueValidator(2147483647)],
                        verbose_name="capacity",
                    ),
                ),
                (
                    "waitlist_capacity",
                    models.PositiveIntegerField(
                        blank=True,
                        default=0,
                        null=True,
                        validators=[django.core.validators.MaxValueValidator(2147483647)],
                        verbose_name="waitlist capacity",
                    ),
                ),
                (
                    "enrollment_opens_at",
                    models.DateTimeField(
                        blank=True,
                        null=True,
                        validators=[school.validators.in_our_times],
                        verbose_name="enrollment opens at",
                    ),
                ),
                (
                    "enrollment_closes_at",
                    models.DateTimeField(
                        blank=True,
                        null=True,
                        validators=[school.validators.in_our_times],
                        verbose_name="enrollment closes at",
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "prerequisites",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="The codes of the courses that must be completed first, in any term.",
                        verbose_name="prerequisites",
                    ),
                ),
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
                    "term",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="courses.term",
                        verbose_name="term",
                    ),
                ),
                (
                    "section",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Distinguishes several courses with the same code in a term.",
                        max_length=16,
                        validators=[school.validators.identifier],
                        verbose_name="section",
                    ),
                ),
                (
                    "credits",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="The credits that count toward the maximum of a student in the term.",
                        max_digits=5,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                        verbose_name="credits",
                    ),
                ),
                (
                    "meetings",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="The weekly meetings, in local time.",
                        verbose_name="meetings",
                    ),
                ),
                (
                    "corequisites",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="The codes of the courses that must be taken in the same term, or passed before.",
                        verbose_name="corequisites",
                    ),
                ),
            ],
            options={
                "verbose_name": "historical course",
                "verbose_name_plural": "historical courses",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="CourseStaff",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "course",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="staff",
                        to="courses.course",
                        verbose_name="course",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="staff_of",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "member of a course's staff",
                "verbose_name_plural": "course staff",
                "ordering": ["course", "user"],
                "permissions": [("own_courses_only", "Is kept to own courses, whatever else is permitted")],
                "default_permissions": ("add", "delete", "view"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("course", "user"),
                        name="course_staff_is_named_once",
                        violation_error_code="unique",
                        violation_error_message="This user is staff of this course already.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Grade",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "code",
                    models.CharField(
                        max_length=32, unique=True, validators=[school.validators.plain_text], verbose_name="code"
                    ),
                ),
                (
                    "passes",
                    models.BooleanField(
                        default=True,
                        help_text="Whether a course that is completed with this grade is passed.",
                        verbose_name="passes",
                    ),
                ),
                (
                    "rank",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="A higher rank is a better grade. Empty: the grade cannot be compared.",
                        null=True,
                        validators=[django.core.validators.MaxValueValidator(2147483647)],
                        verbose_name="rank",
                    ),
                ),
            ],
            options={
                "verbose_name": "grade",
                "verbose_name_plural": "grades",
                "ordering": [models.OrderBy(models.F("rank"), descending=True, nulls_last=True), "code"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("rank",),
                        name="grade_rank_is_unique",
                        violation_error_code="unique",
                        violation_error_message="Another grade has this rank already.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("rank__gte", 0)),
                        name="course_grade_rank_is_not_negative",
                        violation_error_code="min_value",
                        violation_error_message="A rank cannot be negative.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="HistoricalGrade",
            fields=[
                ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                (
                    "code",
                    models.CharField(
                        db_index=True, max_length=32, validators=[school.validators.plain_text], verbose_name="code"
                    ),
                ),
                (
                    "passes",
                    models.BooleanField(
                        default=True,
                        help_text="Whether a course that is completed with this grade is passed.",
                        verbose_name="passes",
                    ),
                ),
                (
                    "rank",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="A higher rank is a better grade. Empty: the grade cannot be compared.",
                        null=True,
                        validators=[django.core.validators.MaxValueValidator(2147483647)],
                        verbose_name="rank",
                    ),
                ),
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
            ],
            options={
                "verbose_name": "historical grade",
                "verbose_name_plural": "historical grades",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        set_markers_of_writers("courses_historicalcourse", 0x5C52),
        set_markers_of_writers("courses_historicalterm", 0x5C53),
        run_deferred_statements(),
    ]
