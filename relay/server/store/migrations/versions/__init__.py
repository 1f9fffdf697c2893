"""The revisions, one file each, in the order of their numbers. They never change, as databases were made by them."""
