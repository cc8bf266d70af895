"""HTTP: everything between a connection and a room's handler. Does not know what requests ask for.

server.py         connections of uvicorn: time-outs, limits on bytes, load shedding
middleware.py     request ids, spans, metrics, headers, CORS, the answer to a bug
limits.py         slots, the queue of writers, rate limits, limits on bodies
problems.py       failures as application/problem+json
parameters.py     parameters that several rooms share; parts of the application
scope.py          id, method and route of a request
negotiation.py    Accept and ETag
idempotency.py    the header Idempotency-Key
probes.py         /livez, /readyz, /metrics
auth/             API keys
console/          the console page
"""
