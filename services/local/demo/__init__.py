"""The demo shop: its catalogue, its accounts, and a purchase from end to end.

products.json   72 products, as proto-JSON of `souk.product.v1.Product`
accounts        who can sign in at once
loading         puts both into the running mesh through its own RPCs
purchase        `souk demo`: buys something over REST and tells each step
"""
