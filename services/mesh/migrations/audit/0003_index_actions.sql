-- Who has done something that is seldom done.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_events_action_idx
    ON audit_events (action, audit_event_id DESC);
