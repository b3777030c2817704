"""Studies: whole protocols of papers, stage by stage, restartable."""
