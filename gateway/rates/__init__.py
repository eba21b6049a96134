"""Holds callers to the rate classes of the contracts (docs/decisions/0100).

Owns what each client address and each user has called of late. Shares it, through Redis, with the
other processes of the gateway.

    quotas     a method's class -> what its calls are charged to; refusals
      meter    who has called how much, as this process knows
      sharing  meters of all processes, in step
"""
