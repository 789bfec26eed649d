"""The solver as a game: an agent at every face, rewards after every step, and a policy that learns through them.

Run it with: python examples/games.py
"""

import equinox as eqx
import jax
import optax

import undertow as ut


def main(updates=100, cells=32, steps=20):
    """The return of an episode before and after."""
    game, params = ut.games.make("undertow/Burgers-v0", case="smooth_sine", cells=cells, steps=steps, actions="logits")
    # Every face sees its two stencils of five values and gives two sets of three logits.
    policy = ut.policies.MLP((10, 16, 6), key=jax.random.key(0), zero_last=True)
    adam = optax.adam(1e-2)
    moments = adam.init(eqx.filter(policy, eqx.is_array))

    def episode(policy, key):
        def one(carry, _):
            state, seen = carry
            logits = policy(seen.reshape(-1, 10)).reshape(game.action_space.shape)
            state, seen, reward, _done, _info = game.step(key, state, logits, params)
            return (state, seen), reward

        return jax.lax.scan(one, game.reset(key, params), length=steps)[1].sum()

    @eqx.filter_jit
    def update(policy, moments, key):
        loss, slope = eqx.filter_value_and_grad(lambda policy: -episode(policy, key))(policy)
        change, moments = adam.update(slope, moments)
        return eqx.apply_updates(policy, change), moments, -loss

    returns = []
    for key in jax.random.split(jax.random.key(1), updates):
        policy, moments, value = update(policy, moments, key)
        returns.append(float(value))
    print(f"return of an episode: {returns[0]:.3f} before, {returns[-1]:.3f} after {updates} updates")
    return returns


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
