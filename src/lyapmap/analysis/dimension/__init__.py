"""How many directions points spread along: correlation and intrinsic dimension."""
