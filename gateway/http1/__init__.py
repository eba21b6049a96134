"""An HTTP/1.1 server: requests in, answers out, within limits (RFC 9110, RFC 9112, RFC 6455).

Owns connections, from their acceptance to their end. Calls one handler with an HttpRequest and
sends the HttpResponse it gives; knows nothing of what is served.

    server           listens, watches over time limits, drains
    endpoint         what all connections share
    connection       one connection: requests in order, one under way at a time
      answering        the half of it that answers
      request_reader   bytes -> heads and bodies, by llhttp
      request_target   the four forms of a request target
      request_body     a body that is read while it arrives
      answer           an answer's bytes
      refusal          what is answered where there is no request to hand on
    websocket        a connection that has become a WebSocket
    workers          several processes on one port
"""
