"""The payment provider's stand-in: an HTTP process of its own with a durable ledger of its own.

Owns the ledger, a SQLite file, which tells what was really charged. It shares nothing with the
payment service but the HTTP API that `server` describes, so it can be held against it.

Calls the webhook of the payment service, if one is set. Publishes nothing.
"""
