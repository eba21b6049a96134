"""The pages of the shop: each gathers what it shows from several services at once.

Owns nothing. Calls user, product, order, payment and notification with the caller's own access
token, so that they decide what the caller may see. Publishes nothing.
"""

from typing import Final

SERVICE: Final = "souk.storefront.v1.StorefrontService"
"""Its service, named here so that a gateway without it need not import it."""
