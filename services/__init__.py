"""The services of the shop, and the mesh runtime that every one of them runs on.

Each package is a process (`python -m services.<name>`); none imports another, all import
`services.mesh`. What travels between them are the messages of `proto/`, imported as `souk`.
"""
