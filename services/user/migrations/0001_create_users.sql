CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    email text NOT NULL,
    display_name text NOT NULL,
    password_hash text NOT NULL,
    roles text[] NOT NULL DEFAULT '{}'
        CHECK (roles <@ ARRAY['admin', 'merchandiser', 'fulfilment', 'support']),
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'deactivated')),
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1
);

CREATE UNIQUE INDEX users_email_key ON users (lower(email));

CREATE TABLE addresses (
    address_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    label text NOT NULL,
    postal_address jsonb NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX addresses_user_id_idx ON addresses (user_id, address_id DESC);
