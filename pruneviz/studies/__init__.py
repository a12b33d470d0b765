"""Studies made of many runs: the race of strategies, the pretraining study, the papers' claims."""
