"""
A typical implementation in Django REST Framework (DRF): models, serializers, generic views and cursor pages, on the
tables of the peers.

Like the other peers it has no tokens, no rules and no journal. It runs in the environment of the peers; ``PG_DSN`` is
the address of their database.
"""

import os
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings

_dsn = urlsplit(os.environ["PG_DSN"])

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": _dsn.hostname,
            "PORT": _dsn.port,
            "USER": _dsn.username,
            "PASSWORD": _dsn.password,
            "NAME": _dsn.path[1:],
            "CONN_MAX_AGE": None,
        }
    },
    INSTALLED_APPS=["rest_framework"],
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="nothing is signed with it",
    USE_TZ=True,
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402  # needs the settings, as do those below
from django.db import IntegrityError, models  # noqa: E402
from django.shortcuts import get_object_or_404  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils import timezone  # noqa: E402
from rest_framework import generics, pagination, serializers, status  # noqa: E402
from rest_framework.response import Response  # noqa: E402


class Student(models.Model):
    class Meta:
        app_label, db_table, managed = "peer", "students", False


class Course(models.Model):
    code = models.CharField(max_length=20)
    name = models.CharField(max_length=200)
    level = models.CharField(max_length=1)

    class Meta:
        app_label, db_table, managed = "peer", "courses", False


class Enrollment(models.Model):
    student = models.ForeignKey(Student, models.PROTECT)
    course = models.ForeignKey(Course, models.PROTECT)
    status = models.CharField(max_length=16, default="active")
    enrolled_at = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label, db_table, managed = "peer", "student_courses", False


class CourseOfStudentSerializer(serializers.ModelSerializer[Enrollment]):
    id = serializers.IntegerField(source="course.id")
    code = serializers.CharField(source="course.code")
    name = serializers.CharField(source="course.name")
    level = serializers.CharField(source="course.level")

    class Meta:
        model = Enrollment
        fields = ["id", "code", "name", "level", "status", "enrolled_at"]


class EnrollmentSerializer(serializers.ModelSerializer[Enrollment]):
    course = serializers.PrimaryKeyRelatedField(queryset=Course._default_manager.all())

    class Meta:
        model = Enrollment
        fields = ["id", "student", "course", "status", "enrolled_at"]
        read_only_fields = ["id", "student", "status", "enrolled_at"]


class Pages(pagination.CursorPagination):
    page_size = 10
    ordering = "id"


class CoursesOfStudent(generics.ListCreateAPIView[Enrollment]):
    pagination_class = Pages

    def get_queryset(self) -> Any:
        student = get_object_or_404(Student, pk=self.kwargs["student_id"])
        return Enrollment._default_manager.filter(student=student).select_related("course")

    def get_serializer_class(self) -> Any:
        return EnrollmentSerializer if self.request.method == "POST" else CourseOfStudentSerializer

    def create(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        student = get_object_or_404(Student, pk=self.kwargs["student_id"])
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            asked.save(student=student)
        except IntegrityError:
            return Response({"detail": "already enrolled"}, status=status.HTTP_409_CONFLICT)
        return Response(asked.data, status=status.HTTP_201_CREATED)


urlpatterns = [path("students/<int:student_id>/courses", CoursesOfStudent.as_view())]
application = get_wsgi_application()
