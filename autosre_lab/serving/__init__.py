"""What every server that we run has in common: token, reach, listener, limits.

Standard library only, but for `http_server`, which needs aiohttp: these modules are also in the
images of the proxy and the browser.
"""
