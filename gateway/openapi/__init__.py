"""Describes the bindings as an OpenAPI 3.1 document, for people, generators and validators.

binding               -> an operation (`operation`), under a path (`paths`), with a name (`names`)
path variable         -> path parameters, one a wildcard segment
other request fields  -> query parameters, headers or the body, as the binding says
answers and failures  -> responses (`responses`)
messages, enums       -> components (`schemas`) with their rules (`rules`) and examples (`examples`)
comments              -> descriptions
policy                -> security

`document.write` puts it together. Calls nothing, publishes nothing; knows no shop.
"""
