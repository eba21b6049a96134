-- One payment per order. Without a user it stands for an order that was voided before it was paid
-- for: an authorization that comes late finds it and is refused.
CREATE TABLE payments (
    payment_id     uuid        PRIMARY KEY,
    order_id       uuid        NOT NULL UNIQUE,
    user_id        uuid,
    state          text        NOT NULL CHECK (
        state IN ('AUTHORIZED', 'CAPTURED', 'VOIDED', 'REFUNDED', 'DECLINED', 'UNKNOWN')
    ),
    currency       text        CHECK (length(currency) = 3),
    amount_minor   bigint      CHECK (amount_minor > 0),
    captured_minor bigint      NOT NULL DEFAULT 0 CHECK (captured_minor BETWEEN 0 AND amount_minor),
    refunded_minor bigint      NOT NULL DEFAULT 0 CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    payment_token  text        NOT NULL DEFAULT '', -- kept until the authorization is answered
    open_key       text,                            -- of the operation that is not answered
    resolve_at     timestamptz,                     -- when to ask the provider about it again
    resolve_tries  integer     NOT NULL DEFAULT 0,
    create_time    timestamptz NOT NULL DEFAULT clock_timestamp(),
    update_time    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((state = 'UNKNOWN') = (open_key IS NOT NULL)),
    CHECK ((open_key IS NOT NULL) = (resolve_at IS NOT NULL)),
    CHECK (state = 'UNKNOWN' OR payment_token = ''),
    CHECK ((user_id IS NULL) = (amount_minor IS NULL)),
    CHECK ((user_id IS NULL) = (currency IS NULL)),
    CHECK (user_id IS NOT NULL OR state = 'VOIDED')
);

CREATE INDEX payments_resolve_at ON payments (resolve_at) WHERE resolve_at IS NOT NULL;

-- What was asked of the provider and what it answered, line by line.
CREATE TABLE transactions (
    position           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id     uuid        NOT NULL UNIQUE,
    payment_id         uuid        NOT NULL REFERENCES payments,
    provider_key       text        NOT NULL,
    type               text        NOT NULL CHECK (type IN ('AUTHORIZE', 'CAPTURE', 'VOID', 'REFUND')),
    outcome            text        NOT NULL CHECK (
        outcome IN ('PENDING', 'SUCCEEDED', 'DECLINED', 'UNKNOWN')
    ),
    amount_minor       bigint      NOT NULL CHECK (amount_minor > 0),
    provider_reference text        NOT NULL,
    create_time        timestamptz NOT NULL,
    UNIQUE (provider_key, outcome)
);

CREATE INDEX transactions_payment_id ON transactions (payment_id, position);

-- An operation has one definite outcome.
CREATE UNIQUE INDEX transactions_definite ON transactions (provider_key)
    WHERE outcome IN ('SUCCEEDED', 'DECLINED');

CREATE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'lines are only ever added to %', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER transactions_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history();
