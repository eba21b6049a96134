"""The parts of `compose.yaml` that are ours: secrets, databases, demo data.

    materials   what every container is given, each in a folder that no other one sees
    __main__    `python -m services.local.compose prepare | databases | demo | accounts`

Containers call one another by name, on the ports that a cluster has too.
"""
