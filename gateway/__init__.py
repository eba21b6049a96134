"""Speaks HTTP/JSON to clients and gRPC to the services.

Owns no data. `gateway.transcoding` is a general transcoder for any descriptor set; what stands
beside it makes it this shop's: settings, access by policy, upstream channels, documentation.
"""
