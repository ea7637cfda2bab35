"""Do our times agree with the truth, and with what others measure: our client, vLLM's, aiperf."""
