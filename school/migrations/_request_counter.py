"""
SQL that counts requests on PostgreSQL, for ``school.http.rate_counter``.

A row for each window, so that a transaction that stays open for long, which keeps every version of a row alive, makes
no row older than a window. The transaction that begins a window holds a lock, so that two do not begin two.
"""

CREATE = {
    "postgresql": [
        """
CREATE UNLOGGED TABLE school_counted (
    who text NOT NULL,
    began timestamptz NOT NULL,
    taken integer NOT NULL,
    PRIMARY KEY (who, began)
) WITH (fillfactor = 50)
""",
        """
CREATE FUNCTION school_count(
    whose text, most integer, seconds integer, wanted integer, OUT taken integer, OUT seconds_left double precision
) LANGUAGE plpgsql AS $$
DECLARE
    span CONSTANT interval := make_interval(secs => seconds);
    start timestamptz;
BEGIN
    SELECT began INTO start FROM school_counted
        WHERE who = whose AND began > clock_timestamp() - span ORDER BY began DESC LIMIT 1;
    IF start IS NULL THEN
        PERFORM pg_advisory_xact_lock(23619, hashtext(whose));
        SELECT began INTO start FROM school_counted
            WHERE who = whose AND began > clock_timestamp() - span ORDER BY began DESC LIMIT 1;
        start := coalesce(start, clock_timestamp());
    END IF;
    seconds_left := extract(epoch FROM start + span - clock_timestamp());
    INSERT INTO school_counted AS counted VALUES (whose, start, wanted)
        ON CONFLICT (who, began) DO UPDATE SET taken = counted.taken + wanted WHERE counted.taken + wanted <= most
        RETURNING counted.taken INTO taken;
END
$$
""",
    ]
}
DROP = {"postgresql": ["DROP FUNCTION school_count", "DROP TABLE school_counted"]}
