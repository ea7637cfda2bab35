"""Agent command lines on a stack of your own."""
