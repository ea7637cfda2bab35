"""Studies of our own parts: what the proxy adds, who measures alike, what preemption buys."""
