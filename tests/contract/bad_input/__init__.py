"""The table of bad input: what is sent, and how it is refused.

| kind          | rows in                 | sent to            | judged by          |
|---------------|-------------------------|--------------------|--------------------|
| JSON          | `json.JSON`             | the gateway        | `test_bad_http`    |
| HTTP          | `http.HTTP`             | the gateway        | `test_bad_http`    |
| authorization | `http.AUTHORIZATION`    | the gateway        | `test_bad_http`    |
|               | `fields.STRANGERS`      | each service       | `test_bad_input`   |
| fields        | `fields.BAD`            | each service       | `test_bad_input`   |
| tokens        | `tokens.INVALID_TOKENS` | the order service  | `test_bad_calls`   |
| gRPC calls    | `calls.CALLS`           | the product service| `test_bad_calls`   |
| gRPC frames   | `frames.FRAMES`         | the product service| `test_grpc_frames` |
| events        | `events.EVENTS`         | Redis              | `test_bad_events`  |

Each row has a name, what is sent, and what comes of it: always the caller's fault, never a failure.
The tests look at the shop before and after, and have the next good request succeed. That each rule
of each field of each RPC is enforced, `test_validation` sees for itself, from the contracts.
"""
