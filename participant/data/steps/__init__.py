"""The steps of an import, one module each, in the order in which a table goes through them."""
