"""Asks a process whether it serves: `python -m services.mesh.probe HOST:PORT`.

It asks the plaintext probe port, like Kubernetes, and exits with 0 if the answer is SERVING, else
with 1. For what has no probe of its own for gRPC: `helm test`, health checks of Compose.
"""

import argparse
import sys
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2

_SECONDS = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Asks, says what is wrong, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.mesh.probe", description=__doc__)
    parser.add_argument("address", metavar="HOST:PORT")
    address = parser.parse_args(argv).address
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
        except grpc.RpcError as error:
            sys.stderr.write(f"{address} does not answer: {error.code().name}\n")
            return 1
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        sys.stderr.write(f"{address} is {status}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
