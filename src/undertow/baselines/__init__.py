r"""Rivals of the gradient through the physics: reinforcement learning out of Stable-Baselines3 (the extra `baselines`).

What learns, on what, and what it is judged by, are the same as in any training of a scheme: `undertow train burgers --method
ppo` begins with the same first weights, plays as many episodes per update on the same pool of problems, is measured on the same
conditions and writes the same run directory. Only how the network's weights are moved is another: no derivative of the solver is
taken, a reward is.

- `undertow.baselines.faces`: episodes in which every evaluation of the policy's network is an agent, in JAX.
- `undertow.baselines.learner`: the training. `undertow.baselines.algorithms`: the methods.
- `undertow.baselines.games`: the games of `undertow.games` for Stable-Baselines3, many copies in one call.
"""
