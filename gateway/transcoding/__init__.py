"""Transcodes HTTP/JSON to gRPC as `google.api.http` annotations say, for any descriptor set.

A general library: it knows google/api/http.proto and the proto3 JSON mapping, not the shop. A
request goes once through: router -> request (path, query, body -> message) -> transport ->
response (message -> JSON), with `errors` for whatever stops it on the way.
"""
