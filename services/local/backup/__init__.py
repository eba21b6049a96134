"""Backup and restore of all that the mesh keeps, as one file of one moment.

    backup.tar
      manifest.json              when it was taken, and each file's size and SHA-256
      postgres/<service>.dump    pg_dump's custom format
      mongo/<name>.bson          the documents of one collection after the other
      redis/keys.ndjson          key, time to live and DUMP of each key
      sandbox/ledger.sqlite3     what the provider's stand-in remembers
      folder/…                   credentials, the keys that sign access tokens

Stores are read while nothing writes to them (`freeze`): what the databases tell of one another is
true, as after a crash at that moment. The file holds secrets; its owner alone can read it.
"""
