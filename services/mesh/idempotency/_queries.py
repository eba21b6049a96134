"""Every query on the table `idempotency_keys`.

What another attempt has taken over, or what is answered, they leave alone.
"""

from services.mesh import reaping

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

REAP = reaping.oldest(
    "idempotency_keys", key="ctid", time="created_at", until="now() - $1::interval"
)
