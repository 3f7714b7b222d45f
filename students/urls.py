"""The API's URLs of students, courses with seats, enrollments and changes."""

from typing import Any

from django.urls import path

from students import views

collection: dict[str, Any] = {"get": "list", "post": "create"}
resource: dict[str, Any] = {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}
verbs: dict[str, Any] = {"get": "retrieve", "patch": "complete", "delete": "drop"}

urlpatterns = [
    path("students", views.StudentViewSet.as_view(collection), name="students"),
    path("students/<str:student_id>", views.StudentViewSet.as_view(resource), name="student"),
    path(
        "students/<str:student_id>/courses",
        views.StudentCoursesViewSet.as_view({"get": "list", "post": "enroll"}),
        name="student-courses",
    ),
    path(
        "students/<str:student_id>/courses/<str:course_id>",
        views.StudentCoursesViewSet.as_view(verbs),
        name="student-course",
    ),
    path("courses", views.CourseWithSeatsViewSet.as_view(collection), name="courses"),
    path("courses/<str:course_id>", views.CourseWithSeatsViewSet.as_view(resource), name="course"),
    path("courses/<str:course_id>/students", views.RosterViewSet.as_view({"get": "list"}), name="roster"),
    path("changes", views.ChangesView.as_view(), name="changes"),
    path("enrollments/batch", views.BatchView.as_view(), name="enrollments-batch"),
    path("enrollments", views.EnrollmentViewSet.as_view({"get": "list"}), name="enrollments"),
    path(
        "enrollments/<id:pk>/events", views.EnrollmentEventsViewSet.as_view({"get": "list"}), name="enrollment-events"
    ),
    path("enrollments/<id:pk>", views.EnrollmentViewSet.as_view({"get": "retrieve"}), name="enrollment"),
]
