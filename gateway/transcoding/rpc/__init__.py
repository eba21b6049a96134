"""Serves RPCs by name to clients that speak gRPC-Web or Connect, browsers above all.

    POST /pkg.Service/Method    application/grpc-web[-text][+proto|+json]   `grpc_web`
                                application/connect+proto|json              `connect_stream`
                                application/proto|json                      `connect_unary`
    GET  /pkg.Service/Method    of methods without side effects             `connect_unary`

The calls are those that annotations bind to HTTP, on the same terms: who may call, deadlines,
limits, and the same reading of JSON. Native gRPC is not served: it needs HTTP/2, and goes to the
services themselves.

Sources: grpc/doc/PROTOCOL-WEB.md, connectrpc.com/docs/protocol.
"""
