"""Calls services over HTTP/2 of our own: unary calls at a third of what grpc.aio's cost.

    NativeTransport (transport)           one target
      UnaryCall, NativeStream             one call: deadline, retries
        Dispatch, Balancer, Subchannel    which address; connected, or to be
          Connection, Streams             one HTTP/2 connection and its streams
            Attempt, StreamingAttempt     one try of a call and its answer

Owns its connections. Calls the servers of one target. Knows gRPC over HTTP/2, and no contract.
"""

from gateway.transcoding.transport.native.subchannel import Target
from gateway.transcoding.transport.native.transport import NativeTransport

__all__ = ["NativeTransport", "Target"]
