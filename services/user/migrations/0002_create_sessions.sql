-- A session is the family of refresh tokens that came from one login.
CREATE TABLE sessions (
    session_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    create_time timestamptz NOT NULL DEFAULT now(),
    revoke_time timestamptz,
    revoke_reason text CHECK (revoke_reason IN ('logout', 'reuse', 'password', 'deactivated')),
    CHECK ((revoke_time IS NULL) = (revoke_reason IS NULL))
);

CREATE INDEX sessions_user_id_idx ON sessions (user_id) WHERE revoke_time IS NULL;

-- Used tokens stay until they expire, so that their reuse is seen.
CREATE TABLE refresh_tokens (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    create_time timestamptz NOT NULL DEFAULT now(),
    expire_time timestamptz NOT NULL,
    use_time timestamptz
);

CREATE INDEX refresh_tokens_session_id_idx ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expire_time_idx ON refresh_tokens (expire_time);
