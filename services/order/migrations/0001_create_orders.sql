-- Purchases. Amounts count the minor unit of the order's currency.
CREATE TABLE orders (
    order_id         uuid        PRIMARY KEY,
    user_id          uuid        NOT NULL,
    state            text        NOT NULL,
    currency         text        NOT NULL,
    total_minor      bigint      NOT NULL CHECK (total_minor > 0),
    shipping_address jsonb,               -- google.type.PostalAddress as proto-JSON
    payment_token    text,                -- only until the payment is authorized or given up
    payment_id       uuid,
    reason           text,                -- why it was undone ...
    short_product_id uuid,                -- ... the product that was the cause ...
    undone_from      text,                -- ... and how far it had come
    sequence         integer     NOT NULL, -- the last step in order_history
    create_time      timestamptz NOT NULL DEFAULT clock_timestamp(),
    update_time      timestamptz NOT NULL DEFAULT clock_timestamp(),

    -- The saga. Whoever holds the newest fencing token may change the order.
    fencing_token    bigint      NOT NULL DEFAULT 1,
    pay_by           timestamptz NOT NULL, -- an order that is not paid by then is undone
    next_attempt_at  timestamptz,          -- NULL: nothing is left to do
    lease_expires_at timestamptz,          -- NULL: nobody is at work on it
    attempts         integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0) -- since the last step
);

CREATE INDEX orders_by_user ON orders (user_id, create_time DESC, order_id DESC);
CREATE INDEX orders_by_time ON orders (create_time DESC, order_id DESC);
CREATE INDEX orders_due ON orders (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- What was ordered, at the price of the moment. Never changed.
CREATE TABLE order_lines (
    order_id         uuid    NOT NULL REFERENCES orders,
    position         integer NOT NULL CHECK (position > 0),
    product_id       uuid    NOT NULL,
    sku              text    NOT NULL,
    title            text    NOT NULL,
    quantity         integer NOT NULL CHECK (quantity > 0),
    unit_price_minor bigint  NOT NULL CHECK (unit_price_minor > 0),
    PRIMARY KEY (order_id, position),
    UNIQUE (order_id, product_id)
);

-- Every step of every order, committed with it. Never changed.
CREATE TABLE order_history (
    order_id    uuid        NOT NULL REFERENCES orders,
    sequence    integer     NOT NULL CHECK (sequence > 0),
    from_state  text,
    to_state    text        NOT NULL,
    reason      text,
    actor       text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (order_id, sequence)
);
