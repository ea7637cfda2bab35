"""Agent command lines on a stack of your own: what they share, and a folder for each.

A new agent brings its own arguments, settings, profiles and window arithmetic, and takes from here:

* `options`: our options in front of its own,
* `stacks`: the stack it runs on,
* `window` and `web_choice`: which of its profiles and which web tools the window holds,
* `environment`, `launch`, `running`: the plan, shown or run.
"""
