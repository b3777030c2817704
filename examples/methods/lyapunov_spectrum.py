"""
Lyapunov spectrum
=================

All exponents of the Hénon map with their standard errors, the Kaplan-Yorke dimension, and the kind of attractor.
The sum of the exponents is known: ln 0.3 at every step.
"""

import lyapmap as lm

henon = lm.systems.henon()
spectrum = lm.lyapunov_spectrum(henon, henon.initial_states(16), n_steps=10_000, transient=500, seed=0)
print(spectrum)
spectrum.plot()
