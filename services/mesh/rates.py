"""The numbers of the rate classes, as `souk/mesh/v1/rates.proto` gives them."""

from souk.mesh.v1 import policy_pb2, rates_pb2
from souk.mesh.v1.policy_pb2 import RateClass, RateLimit


def rate_limit(rate: RateClass.ValueType) -> RateLimit:
    """Return the numbers of a rate class. Raises KeyError for one that has none."""
    limits = rates_pb2.DESCRIPTOR.GetOptions().Extensions[policy_pb2.rate_limits].limits
    return {limit.rate: limit for limit in limits}[rate]
