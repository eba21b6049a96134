"""Takes money for orders through a provider, and gives it back.

Owns payments and what was asked of the provider for each, in PostgreSQL. It holds no card numbers,
only provider tokens, and those no longer than until the provider has answered.

Calls the payment provider (`provider`), over HTTP in the stand-in's case. Publishes nothing.
"""
