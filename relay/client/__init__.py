"""The client side of the relay: what participants and coordinators use to talk to it."""
