"""Every query on the table `idempotency_keys`.

What another attempt has taken over, or what is answered, they leave alone.
"""

REAPED_AT_MOST = 10_000  # well within the time that a statement may take

CLAIM = """
    INSERT INTO idempotency_keys AS mine
        (subject, method, key, fingerprint, resource, lease_until)
    VALUES ($1, $2, $3, $4, $5, clock_timestamp() + $6)
    ON CONFLICT (subject, method, key) DO UPDATE
        SET attempts = mine.attempts + 1, lease_until = excluded.lease_until
        WHERE mine.response IS NULL AND mine.error IS NULL
            AND mine.lease_until <= clock_timestamp()
            AND mine.fingerprint = excluded.fingerprint
    RETURNING attempts, resource
"""

FIND = """
    SELECT fingerprint, resource, response, error, lease_until - clock_timestamp() AS remaining
    FROM idempotency_keys
    WHERE subject = $1 AND method = $2 AND key = $3
"""

RECORD = """
    UPDATE idempotency_keys
    SET response = $5, error = $6
    WHERE subject = $1 AND method = $2 AND key = $3 AND attempts = $4
        AND response IS NULL AND error IS NULL
    RETURNING true
"""

ANSWER = """
    UPDATE idempotency_keys
    SET response = $5, error = $6
    WHERE subject = $1 AND method = $2 AND key = $3 AND resource = $4
        AND response IS NULL AND error IS NULL
"""

PROLONG = """
    UPDATE idempotency_keys
    SET lease_until = clock_timestamp() + $5
    WHERE subject = $1 AND method = $2 AND key = $3 AND attempts = $4
        AND response IS NULL AND error IS NULL
    RETURNING true
"""

RELEASE = """
    UPDATE idempotency_keys
    SET lease_until = clock_timestamp()
    WHERE subject = $1 AND method = $2 AND key = $3 AND attempts = $4
        AND response IS NULL AND error IS NULL
"""

REAP = f"""
    DELETE FROM idempotency_keys
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM idempotency_keys
        WHERE created_at < now() - $1::interval
        ORDER BY created_at LIMIT {REAPED_AT_MOST}
    ))
    RETURNING true
"""  # noqa: S608 - our own number
