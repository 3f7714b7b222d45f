"""The API's URLs of students, courses with seats, enrollments and changes."""

from typing import Any

from django.urls import path

from students import api

COLLECTION_ACTIONS: dict[str, Any] = {"get": "list", "post": "create"}
RESOURCE_ACTIONS: dict[str, Any] = {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}
ENROLLMENT_ACTIONS: dict[str, Any] = {"get": "retrieve", "patch": "complete", "delete": "drop"}

urlpatterns = [
    path("students", api.StudentViewSet.as_view(COLLECTION_ACTIONS), name="students"),
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
    path("courses", api.CourseWithSeatsViewSet.as_view(COLLECTION_ACTIONS), name="courses"),
    path("courses/<str:course_id>", api.CourseWithSeatsViewSet.as_view(RESOURCE_ACTIONS), name="course"),
    path("courses/<str:course_id>/students", api.RosterViewSet.as_view({"get": "list"}), name="roster"),
    path("changes", api.ChangesView.as_view(), name="changes"),
    path("enrollments/batch", api.BatchView.as_view(), name="enrollments-batch"),
    path("enrollments", api.EnrollmentViewSet.as_view({"get": "list"}), name="enrollments"),
    path("enrollments/<id:pk>/events", api.EnrollmentEventsViewSet.as_view({"get": "list"}), name="enrollment-events"),
    path("enrollments/<id:pk>", api.EnrollmentViewSet.as_view({"get": "retrieve"}), name="enrollment"),
]
