"""The `souk` command: the whole mesh on one machine, with nothing installed but Python packages.

Owns the data folder (`.souk/`): embedded stores, certificates, secrets, the lock.
Calls the services through their public contracts only, as any client does.
Publishes nothing.
"""
