"""Systems to be controlled, a file each: physics, cost, initial states, settings, pictures, and what else is asked of them."""

from undertow.tasks import cartpole, contact, guidance, pendulum, quantum
from undertow.tasks.cartpole import CartPole
from undertow.tasks.contact import Pusher
from undertow.tasks.guidance import Guidance
from undertow.tasks.pendulum import SerialPendulum
from undertow.tasks.quantum import QuantumBox
from undertow.tasks.task import ControlTask

__all__ = ["TASKS", "CartPole", "ControlTask", "Guidance", "Pusher", "QuantumBox", "SerialPendulum"]

TASKS: dict[str, ControlTask] = {
    "cartpole": cartpole.TASK,
    "guidance": guidance.TASK,
    "quantum": quantum.TASK,
    "contact": contact.TASK,
    "pendulum": pendulum.TASK,
}
"""Every control task, by the name of its preset and of its family of configurations."""
