CREATE TABLE balances (
    user_id uuid    PRIMARY KEY,
    points  integer NOT NULL DEFAULT 0 CHECK (points >= 0)
);
