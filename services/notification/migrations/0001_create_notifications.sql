-- What users were told; one for each event.
CREATE TABLE notifications (
    notification_id uuid        PRIMARY KEY,
    event_id        uuid        NOT NULL UNIQUE,
    user_id         uuid        NOT NULL,
    order_id        uuid        NOT NULL,
    type            text        NOT NULL,
    title           text        NOT NULL,
    body            text        NOT NULL,
    create_time     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX notifications_user_id ON notifications (user_id, notification_id);
CREATE INDEX notifications_create_time ON notifications (user_id, create_time);

-- How each is sent, channel by channel.
CREATE TABLE deliveries (
    notification_id uuid        NOT NULL REFERENCES notifications ON DELETE CASCADE,
    channel         text        NOT NULL CHECK (channel IN ('CONSOLE', 'EMAIL', 'SMS')),
    state           text        NOT NULL DEFAULT 'PENDING' CHECK (
        state IN ('PENDING', 'SENT', 'FAILED')
    ),
    attempt_count   integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(), -- while one is made: its lease
    last_error      text        NOT NULL DEFAULT '',
    update_time     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (notification_id, channel)
);

CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE state = 'PENDING';

-- How users want to be told; without a row, as by default.
CREATE TABLE preferences (
    user_id      uuid   PRIMARY KEY,
    channels     text[] NOT NULL,
    phone_number text   NOT NULL
);

-- Events that could not be handled.
CREATE TABLE dead_letters (
    dead_letter_id uuid        PRIMARY KEY,
    event_id       uuid,                 -- NULL if it could not be read
    type           text        NOT NULL,
    raw            text        NOT NULL, -- as it was delivered: the event's proto-JSON
    error          text        NOT NULL,
    attempt_count  integer     NOT NULL,
    create_time    timestamptz NOT NULL DEFAULT clock_timestamp(),
    redrive_time   timestamptz
);
