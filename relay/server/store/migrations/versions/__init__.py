"""The revisions, one file each, in the order of their numbers. They are never changed: databases were made by them."""
