"""The relay: a store-and-forward server that holds sealed frames and no keys, and the client that speaks to it."""
