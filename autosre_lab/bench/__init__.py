"""What is measured, and the scripted stand-in that it is measured with."""
