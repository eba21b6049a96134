"""The rules of the catalogue and of the stock, free of I/O and of the wire.

| module        | has                                                             |
|---------------|-----------------------------------------------------------------|
| `product`     | products and how they change                                    |
| `listing`     | which products a list has, and in which order                   |
| `reservation` | reservations of a product's stock, and what they make of it     |
"""
