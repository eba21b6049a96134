"""Takes money for orders through a provider, and gives it back.

Owns payments, what was asked of the provider for each, and where the two disagree, in PostgreSQL.
It holds no card numbers, only provider tokens, and those no longer than until the provider has
answered.

Calls the payment provider (`provider`), over HTTP in the stand-in's case, and once a day the order
service for what became of orders (`OrderService.GetOrder`). Publishes nothing.
"""
