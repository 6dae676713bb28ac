import harness.drivers.rpc_node
import harness.processes.node

harness.processes.node.Node._answer = lambda self, number, name, args: self._control.send(
    {"id": number, "value": True}
)
