"""What every process of Souk runs on; it knows no shop.

Owns how a process starts, serves and drains (`run`, `server`), how it calls others (`clients`), who
calls it and what they may do (`identity`, `policy`), what it says of itself (`logs`, `metrics`,
`traces`, `health`), and what services store alike (`database`, `outbox`, `idempotency`).

Calls the RPC named by `SOUK_JWKS_METHOD` for the keys of access tokens. Publishes nothing itself.
"""
