"""Triggers that note each change that is to be published, whoever makes it."""

# For each table: the kind, the columns that a note has, and the columns whose change is noted.
TABLES = {
    "courses_term": ("term", "id", ("name", "starts_on", "ends_on")),
    "courses_course": ("course", "id", ("code", "name", "term_id", "section")),
    "students_student": (
        "student",
        "id",
        ("student_number", "given_name", "family_name", "email", "is_active", "erased_at"),
    ),
    "courses_coursestaff": ("staff", "course_id, user_id", ("course_id", "user_id")),
    "auth_user": ("account", "id", ("username", "first_name", "last_name", "email", "is_active")),
}


def insert(kind: str, columns: str, row: str) -> str:
    names = ", ".join(["kind", "source_id", "account_id"][: 2 + columns.count(",")])
    values = ", ".join(f"{row}.{column}" for column in columns.split(", "))
    return f"INSERT INTO oneroster_touched ({names}) VALUES ('{kind}', {values})"  # noqa: S608  # only names


def sqlite() -> list[str]:
    statements = []
    for table, (kind, columns, shown) in TABLES.items():
        differs = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in shown)
        old, new = insert(kind, columns, "OLD"), insert(kind, columns, "NEW")
        former = "" if columns == "id" else f"{old}; "
        statements += [
            f"CREATE TRIGGER oneroster_{kind}_added AFTER INSERT ON {table} BEGIN {new}; END",
            f"CREATE TRIGGER oneroster_{kind}_changed AFTER UPDATE ON {table} WHEN {differs} BEGIN {former}{new}; END",
            f"CREATE TRIGGER oneroster_{kind}_deleted AFTER DELETE ON {table} BEGIN {old}; END",
        ]
    return statements


def postgresql() -> list[str]:
    statements = []
    for table, (kind, columns, shown) in TABLES.items():
        differs = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in shown)
        old, new = insert(kind, columns, "OLD"), insert(kind, columns, "NEW")
        former = "TG_OP = 'DELETE'" if columns == "id" else "TG_OP <> 'INSERT'"
        statements += [
            f"""
            CREATE FUNCTION oneroster_note_{kind}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF {former} THEN {old}; END IF;
                IF TG_OP <> 'DELETE' THEN {new}; END IF;
                RETURN NULL;
            END $$
            """,
            f"""
            CREATE TRIGGER oneroster_{kind}_added AFTER INSERT OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION oneroster_note_{kind}()
            """,
            f"""
            CREATE TRIGGER oneroster_{kind}_changed AFTER UPDATE ON {table}
            FOR EACH ROW WHEN ({differs}) EXECUTE FUNCTION oneroster_note_{kind}()
            """,
        ]
    return statements


CREATE = {"sqlite": sqlite(), "postgresql": postgresql()}
DROP = {
    "sqlite": [
        f"DROP TRIGGER oneroster_{kind}_{verb}"
        for kind, _columns, _shown in TABLES.values()
        for verb in ("added", "changed", "deleted")
    ],
    "postgresql": [f"DROP FUNCTION oneroster_note_{kind} CASCADE" for kind, _columns, _shown in TABLES.values()],
}
