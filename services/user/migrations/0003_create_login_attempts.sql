-- Tries to prove who one is, by what is counted: a hash of an account's name or of an address.
CREATE TABLE login_attempts (
    counted_hash bytea PRIMARY KEY CHECK (octet_length(counted_hash) = 32),
    attempt_count integer NOT NULL,
    end_time timestamptz NOT NULL
);

CREATE INDEX login_attempts_end_time_idx ON login_attempts (end_time);
