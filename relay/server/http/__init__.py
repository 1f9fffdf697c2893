"""One request, from its socket to its answer.

    connections   socket: counted and limited before TLS; slow heads, idle and stalled connections are aborted
      TLS         of the standard library; `core.tls` reloads its certificate
    app._gate     request filter (`limits`): may this address come, and how often; then a declared route, or none
    endpoint      the order of what follows; whatever is raised in it becomes a problem document in `_admit`
      auth          signature over method, path, query, digest of the body and time; not older than the epoch
      limits        how often may this site come
      access        nonce: a repeated write is only answered again; then rights, before any body is read
      body          room for it, read at a least speed, its digest compared, parsed to its type
      stage         what takes too long for a transaction: checking a payload; then the turn of the run or site
      transaction   nonce again, rights again, handler, answer kept with the nonce; durable when it returns
    answer          long polls are woken, counters count, bytes go out

A route (`route.py`) is one declaration, from which it is served, described (`openapi.py`) and tested. Reads have no
nonce and no turn, and see one consistent view. May import limits, process, store, payloads and core; no route.
"""
