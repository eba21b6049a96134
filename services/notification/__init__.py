"""Tells customers what becomes of their orders.

Owns notifications, how each was sent, who wants to be told how, and the events that could not be
handled, in PostgreSQL. It holds no e-mail addresses.

Calls the user service for an address at the moment of sending, the order service for events that
may have been missed, an SMTP server and an HTTP endpoint for text messages. Consumes the order
service's events. Publishes nothing.
"""
