"""An engine without a model: vLLM's HTTP face, a prefix cache of ids, answers from a script.

It takes little memory and no GPU, so that everything around an engine can be tried where none can
run. What is measured on it says nothing of any model, and is marked so: recipes with
``runtime.device: scripted`` run it.
"""
