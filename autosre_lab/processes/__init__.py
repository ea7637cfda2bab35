"""Processes of this machine: who one is, its life, its files, ports and logs."""
