"""Insert as many students as a large university has, with one statement."""

from django.db import connection

STUDENTS = 100_000
GIVEN = ("Ada", "Bo", "Carla", "Dmitri", "Elif", "Femi", "Grace", "Hiro", "Ines", "José", "Katya", "Liam", "Mary")
FAMILY = ("Adeyemi", "Berg", "Castillo", "Dubois", "Eriksen", "Fischer", "Gupta", "Haddad", "Ito", "Jensen", "Kim")
MORE = ("Larsen", "Müller", "Nguyen", "Okafor", "Petrov", "Quispe", "Rossi", "Silva", "Tanaka", "Usman", "Weber")

# Valid SQL on both databases. The 1,234th student is S-101234.
INSERT = """
INSERT INTO students_student (student_number, given_name, family_name, email, is_active)
WITH RECURSIVE
    given (i, name) AS (VALUES {given}),
    family (i, name) AS (VALUES {family}),
    n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {students})
SELECT 'S-' || (100000 + n.i), given.name, family.name, 's' || n.i || '@example.edu', TRUE
FROM n
JOIN given ON given.i = n.i % {givens}
JOIN family ON family.i = (n.i / {givens}) % {families}
"""


def insert_many_students() -> None:
    """Insert the students, and update the statistics of the database."""
    family = (*FAMILY, *MORE)
    statement = INSERT.format(
        given=_values(GIVEN), family=_values(family), students=STUDENTS, givens=len(GIVEN), families=len(family)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("ANALYZE")


def _values(names: tuple[str, ...]) -> str:
    return ", ".join(f"({position}, '{name}')" for position, name in enumerate(names))
