from undertow.instruments.health import FlowCosines as FlowCosines
from undertow.instruments.health import StepGradients as StepGradients
from undertow.instruments.health import flow_cosines as flow_cosines
from undertow.instruments.health import step_gradients as step_gradients
from undertow.instruments.jacobians import JacobianNorms as JacobianNorms
from undertow.instruments.jacobians import jacobian_norms as jacobian_norms
from undertow.instruments.rotation import Rotation as Rotation
