"""Requests on which our gateway and Envoy's transcoder agree: taken alike, or both refused.

Each line is a request for everything.proto; the body follows the target.
"""

from typing import Final

_PATHS: Final = """
GET /v1/texts/a
GET /v1/texts/a%2Fb+c%20d
GET /v1/texts/%C3%A9
GET /v1/texts/a:b
GET /v1/numbers/-7
GET /v1/numbers/x
GET /v1/numbers/1.5
GET /v1/numbers/2147483648
GET /v1/children/x/7
GET /v1/rooms/1/beds
GET /v1/rooms/1/beds/2/3
GET /v1/rooms/a%2Fb/beds/c%3F
GET /v1/enums/KIND_TWO/true
GET /v1/enums/2/false
GET /v1/enums/NOPE/true
GET /v1/texts/
GET /v1/nope
GET //v1/everything
POST /v1/nope
DELETE /v1/texts/a?int32=1
PURGE /v1/texts/a
GET /v1/resources/r
POST /v1/texts/a:nope {"int32":1}
"""

_QUERIES: Final = """
GET /v1/everything?text=a+b%20c%2B
GET /v1/everything?text=a=b
GET /v1/everything?&&text=a&
GET /v1/everything?text
GET /v1/everything?maybe=
GET /v1/everything?nope=1
GET /v1/everything?choiceText=a
GET /v1/everything?choice_text=a
GET /v1/everything?choiceText=a&choiceNumber=1
GET /v1/choices/a?choiceNumber=3
GET /v1/everything?tags=a&tags=b,c&tags=
GET /v1/everything?numbers=1&text=x&numbers=2
GET /v1/everything?child.child.text=a&child.number=1
GET /v1/everything?child.number=1&text=x&child.child.text=a
GET /v1/everything?child=1
GET /v1/everything?labels.a=b
GET /v1/everything?int32=x
GET /v1/everything?int32=
GET /v1/everything?int32=%201
GET /v1/everything?int64=-9223372036854775808
GET /v1/everything?int64=9223372036854775808
GET /v1/everything?uint64=18446744073709551615
GET /v1/everything?uint32=-1
GET /v1/everything?double=-1.5e3
GET /v1/everything?double=NaN
GET /v1/everything?float=-Infinity
GET /v1/everything?float=1e39
GET /v1/everything?double=1e309
GET /v1/everything?flag=false
GET /v1/everything?data=-_8
GET /v1/everything?data=%2B/8%3D
GET /v1/everything?data=****
GET /v1/everything?kind=KIND_ONE
GET /v1/everything?kind=2
GET /v1/everything?kind=NOPE
GET /v1/everything?kind=kind_one
GET /v1/everything?time=2026-01-02T03:04:05Z
GET /v1/everything?time=2026-01-02T03:04:05.123456789Z
GET /v1/everything?time=2026-01-02T03:04:05%2B01:00
GET /v1/everything?time=2026-01-02
GET /v1/everything?span=1.5s
GET /v1/everything?span=-0.5s
GET /v1/everything?span=1
GET /v1/everything?mask=aB,c.dE
GET /v1/everything?wrappedInt64=5
GET /v1/everything?wrappedText=a+b
GET /v1/everything?wrappedText=
GET /v1/everything?wrappedFlag=true
GET /v1/everything?wrappedData=_w
"""

_BODIES: Final = """
POST /v1/everything
POST /v1/everything {}
POST /v1/everything null
POST /v1/everything []
POST /v1/everything 1
POST /v1/everything x
POST /v1/everything {"text":1}
POST /v1/everything {"text":null}
POST /v1/everything {"text":"\\ud83d\\ude00"}
POST /v1/everything {"text":"\\ud800"}
POST /v1/everything {"text":"a"}x
POST /v1/everything {"text":"a"}{"text":"b"}
POST /v1/everything {"text":"a"
POST /v1/everything {"int32":"1"}
POST /v1/everything {"int32":true}
POST /v1/everything {"int32":1.5}
POST /v1/everything {"int32":1.0}
POST /v1/everything {"int32":1e2}
POST /v1/everything {"int32":01}
POST /v1/everything {"int32":""}
POST /v1/everything {"int32":2147483648}
POST /v1/everything {"int64":9223372036854775807}
POST /v1/everything {"int64":"9223372036854775808"}
POST /v1/everything {"uint64":-1}
POST /v1/everything {"float":true}
POST /v1/everything {"float":"NaN"}
POST /v1/everything {"float":NaN}
POST /v1/everything {"float":3.4028235e38}
POST /v1/everything {"float":1e39}
POST /v1/everything {"double":"-Infinity"}
POST /v1/everything {"double":1e309}
POST /v1/everything {"kind":true}
POST /v1/everything {"kind":"KIND_TWO"}
POST /v1/everything {"kind":77}
POST /v1/everything {"kinds":["KIND_ONE",2]}
POST /v1/everything {"flag":1}
POST /v1/everything {"data":"_w"}
POST /v1/everything {"data":"/w=="}
POST /v1/everything {"data":"a"}
POST /v1/everything {"child":{"child":{"text":"a"},"tags":["b"]}}
POST /v1/everything {"child":[]}
POST /v1/everything {"children":[{"text":"a"},{}]}
POST /v1/everything {"labels":{"a":"b","":""}}
POST /v1/everything {"byNumber":{"-1":{"text":"a"}}}
POST /v1/everything {"flags":{"true":true}}
POST /v1/everything {"choiceText":"a","choiceNumber":1}
POST /v1/everything {"choiceText":"a","choiceNumber":null}
POST /v1/everything {"choiceChild":{}}
POST /v1/everything {"maybe":""}
POST /v1/everything {"maybeNumber":0}
POST /v1/everything {"time":"2026-01-02T03:04:05+01:00"}
POST /v1/everything {"time":"0001-01-01T00:00:00Z"}
POST /v1/everything {"time":"9999-12-31T23:59:59.999999999Z"}
POST /v1/everything {"time":"2026-01-02T03:04:05+24:00"}
POST /v1/everything {"time":1}
POST /v1/everything {"span":"-1.000000001s"}
POST /v1/everything {"span":"1"}
POST /v1/everything {"mask":"aB,c"}
POST /v1/everything {"struct":{"a":[1,null,{"b":true}]}}
POST /v1/everything {"value":null}
POST /v1/everything {"value":{"a":[]}}
POST /v1/everything {"list":[1,"a",null]}
POST /v1/everything {"values":[null,1]}
POST /v1/everything {"any":{"@type":"type.googleapis.com/test.v1.Child","text":"a"}}
POST /v1/everything {"empty":{}}
POST /v1/everything {"wrappedInt64":"5","wrappedText":"","wrappedFlag":false,"wrappedData":"_w"}
POST /v1/texts/a {"text":"a"}
POST /v1/texts/a {"text":"b"}
POST /v1/texts/a {"int32":1}
POST /v1/numbers/1 {"int32":"1"}
POST /v1/numbers/1 {"int32":2}
POST /v1/choices/a {"choiceNumber":1}
POST /v1/children/x {"child":{"number":1}}
POST /v1/children/x {"child":{"text":"y"}}
POST /v1/texts/a:child {"number":1}
POST /v1/texts/a:child?int32=1 {"number":1}
PUT /v1/children/x {"number":2}
PUT /v1/tags ["a"]
PUT /v1/labels {"a":"b"}
PUT /v1/int64 "5"
PUT /v1/time "2026-01-02T03:04:05Z"
PUT /v1/value {"a":1}
PUT /v1/value null
"""

REQUESTS: Final = tuple(filter(None, f"{_PATHS}{_QUERIES}{_BODIES}".split("\n")))
