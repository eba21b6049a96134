-- What somebody did or tried that matters to security. Rows are added and read; nothing else.
CREATE TABLE audit_events (
    audit_event_id uuid PRIMARY KEY,
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    action text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('succeeded', 'refused')),
    reason text NOT NULL DEFAULT '' CHECK ((outcome = 'succeeded') = (reason = '')),
    actor_user_id uuid,
    actor_service text NOT NULL DEFAULT '',
    client_address text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    resource text NOT NULL DEFAULT ''
);

CREATE INDEX audit_events_actor_idx ON audit_events (actor_user_id, audit_event_id DESC);

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events can be added to, nothing else';
END
$$;

CREATE TRIGGER audit_events_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
