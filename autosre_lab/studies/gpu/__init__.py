"""The product on a GPU, from start to stop: `python -m autosre_lab.studies.gpu`."""
