"""One request, from its socket to its answer.

    connections   socket: counted and limited before TLS; slow heads, idle and stalled connections are aborted
      TLS         by the standard library; `core.tls` reloads the certificate
    app._gate     request filter (`limits`): address and rate; then a declared route, or none
    endpoint      the steps below, in order; `_admit` turns any exception raised in them into a problem document
      auth          signature over method, path, query, body digest and time; not older than the epoch
      limits        the site's rate
      access        nonce: a repeated write only gets its stored answer; then permissions, before any body is read
      body          memory for it, read at a minimum speed, its digest compared, parsed to its type
      stage         work too long for a transaction: checking a payload; then the turn of the run or site
      transaction   nonce again, permissions again, handler, answer stored with the nonce; durable when it returns
    answer          long polls are woken, counters count, bytes are sent

A route (`route.py`) is one declaration, from which it is served, described (`openapi.py`) and tested. Reads have no
nonce and no turn, and see one consistent view. May import limits, process, store, payloads and core, but no routes.
"""
