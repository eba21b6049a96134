-- Events committed together with the state they tell of.
CREATE TABLE outbox (
    -- The order of appending. Commits come in another order, so it is never used as a cursor.
    position     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     uuid        NOT NULL UNIQUE,
    type         text        NOT NULL,
    aggregate_id text        NOT NULL,
    sequence     bigint      NOT NULL CHECK (sequence > 0),
    occurred_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    traceparent  text        NOT NULL,
    payload      bytea       NOT NULL, -- a serialized google.protobuf.Any
    published_at timestamptz,
    UNIQUE (aggregate_id, sequence)
);

CREATE INDEX outbox_unpublished ON outbox (position) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;

-- The last sequence of each aggregate; it outlives the events.
CREATE TABLE outbox_sequences (
    aggregate_id text   PRIMARY KEY,
    last         bigint NOT NULL
);
