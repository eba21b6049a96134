-- A reconciliation reads the operations and the payments of a time.
CREATE INDEX transactions_create_time ON transactions (create_time);
CREATE INDEX payments_update_time ON payments (update_time) WHERE state IN ('AUTHORIZED', 'CAPTURED');

-- Reconciliations. Without an end it was broken off.
CREATE TABLE reconciliations (
    reconciliation_id uuid        PRIMARY KEY,
    begin_time        timestamptz NOT NULL,
    end_time          timestamptz
);

CREATE INDEX reconciliations_begin_time ON reconciliations (begin_time);

-- What they have found. Lines are added and resolved, never changed otherwise nor removed.
CREATE TABLE discrepancies (
    discrepancy_id uuid        PRIMARY KEY,
    type           text        NOT NULL,
    subject        text        NOT NULL, -- the provider key, or the payment
    payment_id     uuid,
    order_id       uuid,
    provider_key   text        NOT NULL,
    detail         text        NOT NULL,
    recorded       jsonb,                -- {"currency": ..., "minor": ...}: the sum here ...
    other          jsonb,                -- ... and that of the provider or the order
    occur_time     timestamptz NOT NULL, -- of what it is about
    create_time    timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolve_time   timestamptz,
    resolution     text        CHECK (resolution IN ('REPAIRED', 'GONE')),
    CHECK ((resolve_time IS NULL) = (resolution IS NULL))
);

CREATE UNIQUE INDEX discrepancies_open ON discrepancies (type, subject) WHERE resolve_time IS NULL;

CREATE FUNCTION refuse_to_change_findings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.resolve_time IS NULL
        AND (to_jsonb(NEW) - 'resolve_time' - 'resolution')
            = (to_jsonb(OLD) - 'resolve_time' - 'resolution')
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'findings are only ever added and resolved'
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER discrepancies_append_only
    BEFORE UPDATE OR DELETE ON discrepancies
    FOR EACH ROW EXECUTE FUNCTION refuse_to_change_findings();
CREATE TRIGGER discrepancies_never_emptied
    BEFORE TRUNCATE ON discrepancies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history();
