-- What was done to something, among all that was done.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_events_resource_idx
    ON audit_events (resource, audit_event_id DESC);
