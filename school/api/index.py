"""The entry pages of the API: links to its versions, and to the lists of a version."""

from collections.abc import Mapping

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from school.api.authentication import AnonymousAuthentication


class IndexView(APIView):
    """Returns ``links``, a mapping of names to paths, to any caller."""

    authentication_classes = (AnonymousAuthentication,)
    permission_classes = (AllowAny,)
    links: Mapping[str, str] = {}

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(self.links)
