"""What the engine, the GPU and the machine say of themselves, parsed, recorded and shown."""
