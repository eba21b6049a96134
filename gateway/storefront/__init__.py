"""The pages of the shop: each gathers what it shows from several services at once.

Owns nothing. Calls user, product, order, payment and notification with the caller's own access
token, so that they decide what the caller may see. Publishes nothing.
"""
