-- The last entry of each stream that the relay has written: a stream that ends before it has lost
-- entries.
CREATE TABLE outbox_streams (
    stream     text PRIMARY KEY,
    last_entry text NOT NULL -- a Redis entry id: milliseconds-number
);
