"""Deleting what has grown old part by part, each well within the time that a statement may take."""

AT_MOST = 10_000
"""How many rows a part has: fewer are the last one."""


def oldest(table: str, *, key: str, time: str, until: str, returning: str = "true") -> str:
    """Returns the statement that deletes a part of a table's rows, the oldest first.

    `key` tells rows apart, `time` is the column that says how old they are, `until` an expression:
    what is older goes. All are names and expressions of ours.
    """
    return f"""
        DELETE FROM {table}
        WHERE {key} = ANY(ARRAY(
            SELECT {key} FROM {table}
            WHERE {time} < {until}
            ORDER BY {time} LIMIT {AT_MOST}
        ))
        RETURNING {returning}
    """  # noqa: S608  # see above
