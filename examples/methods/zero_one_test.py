"""
The 0-1 test
============

From one observable alone: K is near 1 for chaos, near 0 for regular motion.
"""

import lyapmap as lm

for r in (3.55, 3.9):
    test = lm.zero_one_test(lm.systems.logistic(r=r), [0.3], n_steps=3000, transient=500, seed=0)
    print(r, test.K, test.verdict)
test.plot()
