"""The client side of the relay: what participants and coordinators speak to it with, and keep of what they said."""
