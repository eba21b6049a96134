"""The catalogue: what is sold, at which price, and how much of it there is.

Owns products, their stock, and the reservations of it by orders, in MongoDB. Calls no other
service. Publishes nothing; a product's stock can be watched.
"""
