"""Points for customers.

Owns how many points each has, in PostgreSQL. Calls no other service. Publishes nothing.
"""
