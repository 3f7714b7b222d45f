"""The API's URLs of students, holds, terms, courses with seats, grades, enrollments and changes."""

from typing import Any

from django.urls import path

from students import api

COLLECTION_ACTIONS: dict[str, Any] = {"get": "list", "post": "create"}
RESOURCE_ACTIONS: dict[str, Any] = {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}
BATCH_ACTIONS: dict[str, Any] = {"post": "batch"}
BATCH_OPTIONS: dict[str, Any] = {"method_permissions": {"POST": ("add", "change")}}
GRADE_ACTIONS: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
ENROLLMENT_ACTIONS: dict[str, Any] = {"get": "retrieve", "patch": "complete", "delete": "drop"}

urlpatterns = [
    path("students", api.StudentViewSet.as_view(COLLECTION_ACTIONS), name="students"),
    path("students/batch", api.StudentViewSet.as_view(BATCH_ACTIONS, **BATCH_OPTIONS), name="students-batch"),
    path("students/<str:student_id>", api.StudentViewSet.as_view(RESOURCE_ACTIONS), name="student"),
    path(
        "students/<str:student_id>/courses",
        api.StudentCoursesViewSet.as_view({"get": "list", "post": "enroll"}),
        name="student-courses",
    ),
    path(
        "students/<str:student_id>/courses/<str:course_id>",
        api.StudentCoursesViewSet.as_view(ENROLLMENT_ACTIONS),
        name="student-course",
    ),
    path(
        "students/<str:student_id>/holds",
        api.HoldsViewSet.as_view({"get": "list", "post": "create"}),
        name="student-holds",
    ),
    path(
        "students/<str:student_id>/holds/<id:pk>",
        api.HoldsViewSet.as_view({"get": "retrieve", "delete": "release"}),
        name="student-hold",
    ),
    path("courses", api.CourseWithSeatsViewSet.as_view(COLLECTION_ACTIONS), name="courses"),
    path("courses/batch", api.CourseWithSeatsViewSet.as_view(BATCH_ACTIONS, **BATCH_OPTIONS), name="courses-batch"),
    path("courses/<str:course_id>", api.CourseWithSeatsViewSet.as_view(RESOURCE_ACTIONS), name="course"),
    path("courses/<str:course_id>/students", api.RosterViewSet.as_view({"get": "list"}), name="roster"),
    path("courses/<str:course_id>/cancel", api.CancellationViewSet.as_view({"post": "cancel"}), name="course-cancel"),
    path(
        "courses/<str:course_id>/cancel/undo",
        api.CancellationViewSet.as_view({"post": "undo"}),
        name="course-cancel-undo",
    ),
    path("terms", api.TermWithWaitlistsViewSet.as_view(COLLECTION_ACTIONS), name="terms"),
    path("terms/batch", api.TermWithWaitlistsViewSet.as_view(BATCH_ACTIONS, **BATCH_OPTIONS), name="terms-batch"),
    path("terms/<str:term_id>", api.TermWithWaitlistsViewSet.as_view(RESOURCE_ACTIONS), name="term"),
    path("grades", api.GradeWithWaitlistsViewSet.as_view(COLLECTION_ACTIONS), name="grades"),
    path("grades/<str:grade_id>", api.GradeWithWaitlistsViewSet.as_view(GRADE_ACTIONS), name="grade"),
    path("changes", api.ChangesView.as_view(), name="changes"),
    path("enrollments/batch", api.BatchView.as_view(), name="enrollments-batch"),
    path("enrollments", api.EnrollmentViewSet.as_view({"get": "list"}), name="enrollments"),
    path("enrollments/<id:pk>/events", api.EnrollmentEventsViewSet.as_view({"get": "list"}), name="enrollment-events"),
    path("enrollments/<id:pk>", api.EnrollmentViewSet.as_view({"get": "retrieve"}), name="enrollment"),
]
