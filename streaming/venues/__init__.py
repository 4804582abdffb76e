"""Venue protocols, one sans-I/O file each."""
