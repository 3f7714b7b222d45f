from typing import Any

from django.urls import path

from school.api.shortcuts import with_shortcuts
from students import views
from students.views import express
from students.views.enrolling import enrolling

collection: dict[str, Any] = {"get": "list", "post": "create"}
resource: dict[str, Any] = {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}
verbs: dict[str, Any] = {"get": "retrieve", "patch": "complete", "delete": "drop"}

urlpatterns = [
    path("students", views.StudentViewSet.as_view(collection), name="students"),
    path("students/<str:student_id>", views.StudentViewSet.as_view(resource), name="student"),
    path(
        "students/<str:student_id>/courses",
        with_shortcuts(
            views.StudentCoursesViewSet.as_view({"get": "list", "post": "enroll"}),
            GET=express.student_courses,
            POST=enrolling,
        ),
        name="student-courses",
    ),
    path(
        "students/<str:student_id>/courses/<str:course_id>",
        views.StudentCoursesViewSet.as_view(verbs),
        name="student-course",
    ),
    path("courses", views.CourseWithSeatsViewSet.as_view(collection), name="courses"),
    path("courses/<str:course_id>", views.CourseWithSeatsViewSet.as_view(resource), name="course"),
    path(
        "courses/<str:course_id>/students",
        with_shortcuts(views.RosterViewSet.as_view({"get": "list"}), GET=express.roster),
        name="roster",
    ),
    path("changes", with_shortcuts(views.ChangesView.as_view(), GET=express.changes), name="changes"),
    path("enrollments/batch", views.BatchView.as_view(), name="enrollments-batch"),
    path(
        "enrollments",
        with_shortcuts(views.EnrollmentViewSet.as_view({"get": "list"}), GET=express.enrollments),
        name="enrollments",
    ),
    path(
        "enrollments/<id:pk>/events", views.EnrollmentEventsViewSet.as_view({"get": "list"}), name="enrollment-events"
    ),
    path("enrollments/<id:pk>", views.EnrollmentViewSet.as_view({"get": "retrieve"}), name="enrollment"),
]
