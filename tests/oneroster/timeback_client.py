"""
Reads rosters with the client ``timeback-oneroster``, and prints what it has read as JSON.

The test of this client runs this file with another Python, 3.12 or later, that has the client. Arguments: the base URL
of School, the client id and the secret.
"""

import asyncio
import json
import sys
from typing import Any

# Without terms and grading periods: the client expects these names as envelopes, the standard says academicSessions.
LISTS = ("academic_sessions", "classes", "courses", "enrollments", "orgs", "schools", "students", "teachers", "users")


async def read(base_url: str, client_id: str, client_secret: str) -> dict[str, Any]:
    from timeback_oneroster import OneRosterClient  # only the other Python has it

    login = {"auth_url": f"{base_url}/oauth/token", "client_id": client_id, "client_secret": client_secret}
    found: dict[str, Any] = {}
    async with OneRosterClient(base_url=base_url, **login) as client:
        for name in LISTS:
            resource = getattr(client, name)
            # Pages of two objects: the client follows the header Link.
            found[name] = [each.sourced_id async for each in resource.stream(limit=2)]
        first = {name: found[name][0] for name in ("schools", "students", "classes")}
        found["student"] = (await client.students(first["students"]).get()).sourced_id
        found["classes of a student"] = ids(await client.users(first["students"]).classes())
        found["students of a school"] = ids(await client.schools(first["schools"]).students())
        found["students of a class"] = ids(await client.classes(first["classes"]).students())
        where = {"status": "active", "roles.role": "teacher"}
        found["active teachers"] = ids((await client.users.list(where=where)).data)
        page = await client.users.list(limit=1)
        found["a page"] = [len(page.data), page.has_more, page.total]
    return found


def ids(objects: Any) -> list[str]:
    return [each.sourced_id for each in objects]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(read(*sys.argv[1:]))))
