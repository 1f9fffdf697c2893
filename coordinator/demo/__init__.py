"""The demonstration: nine hospitals, a relay and a coordinator on one machine, and the pooled answer."""
