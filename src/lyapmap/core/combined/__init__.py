"""Maps that stand on other maps: driven by inputs, of states that come round or are held to a surface."""
