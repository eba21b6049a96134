-- Calls that were begun under a key of the caller's, and their answers.
CREATE TABLE idempotency_keys (
    subject     text        NOT NULL,
    method      text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    resource    text        NOT NULL,           -- what the call works on; a later attempt goes on with it
    attempts    integer     NOT NULL DEFAULT 1, -- fences off an attempt that was given up
    lease_until timestamptz NOT NULL,           -- until then the attempt is believed to be alive
    response    bytea,                          -- the answer: a serialized response message ...
    error       jsonb,                          -- ... or a domain error
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, method, key),
    CHECK (response IS NULL OR error IS NULL)
);

CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
