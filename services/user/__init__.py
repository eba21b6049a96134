"""Accounts, sessions and addresses.

Owns users, their addresses, their sessions and the keys that sign access tokens, in PostgreSQL.
Calls no other service. Publishes nothing.
"""
