-- The events that were handled, each recorded in the transaction of its effect.
CREATE TABLE inbox (
    event_id   uuid        PRIMARY KEY,
    handled_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX inbox_handled_at ON inbox (handled_at);

-- The events that were not handled at the first try. A try is counted before it begins, so that one
-- that ends the process counts too.
CREATE TABLE inbox_tries (
    event_id uuid    PRIMARY KEY,
    tries    integer NOT NULL CHECK (tries > 1)
);
