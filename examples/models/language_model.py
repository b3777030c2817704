"""
A language model's hidden states, fed back
==========================================

The last hidden states of a GPT-2 become its next embeddings. Here with few units and random weights; a trained model
is loaded in its place. Its last layer norm keeps the states bounded, and for every size of the weights the loop comes
to rest.
"""

import numpy as np
import torch
from transformers import GPT2Config, GPT2Model

import lyapmap as lm


def loop(gain):
    torch.manual_seed(0)
    small = {"n_embd": 24, "n_layer": 2, "n_head": 2, "n_positions": 8, "vocab_size": 50}
    net = GPT2Model(GPT2Config(**small, bos_token_id=0, eos_token_id=0, initializer_range=0.1 * gain)).eval()
    return lm.wrap(lambda h: net(inputs_embeds=h, use_cache=False).last_hidden_state, state_shape=(8, 24))


start = np.random.default_rng(0).normal(size=(1, 8, 24))
gains = [1, 2, 3, 4, 6]
sweep = lm.sweep(loop, "gain", gains, start, analysis="spectrum", n_exponents=2, n_steps=300, seed=0)
print(sweep)
sweep.plot()
