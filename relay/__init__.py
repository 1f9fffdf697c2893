"""The relay: a store-and-forward server that holds sealed frames and never a key. Also what others speak to it with."""
