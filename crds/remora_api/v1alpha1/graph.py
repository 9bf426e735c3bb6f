"""`spec.graph`: deployments combined in the resource, without code that calls them.

Every node takes one value and gives one. What a node does is the name of the one list that it has; an entry of the list
says where the value goes next: to a deployment, or to another node.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Field

from remora_api.model import Bool, FreeForm, Int, ListMap, Model, Rule, matches
from remora_api.v1alpha1 import imports

NodeName = Annotated[
    str,
    MinLen(1),
    MaxLen(50),
    matches(r"[a-z]([-a-z0-9]*[a-z0-9])?", "must be lower-case letters, digits and '-', with a letter first"),
]
GraphDeploymentName = Annotated[
    str,
    MinLen(1),
    MaxLen(100),
    matches(
        imports.IDENTIFIER,
        "must be a name as in Python: it is looked for in importPath's module unless graph.deployments says otherwise",
    ),
]
_NUMBER = r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?"


class ConditionOperator(StrEnum):
    """How a field is compared; as in Kubernetes' `matchExpressions`, and Gt and Lt for numbers."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


class GraphCondition(Model):
    """A question about the value."""

    RULES: ClassVar = (
        Rule(
            "(self.operator in ['Exists', 'DoesNotExist']) == (!has(self.values) || size(self.values) == 0)",
            "Exists and DoesNotExist take no values, the other operators need them",
            lambda it: (it.operator in (ConditionOperator.EXISTS, ConditionOperator.DOES_NOT_EXIST)) == (not it.values),
            field=".values",
        ),
        Rule(
            "!(self.operator in ['Gt', 'Lt']) || (has(self.values) && size(self.values) == 1 && "
            f"self.values[0].matches(r'^{_NUMBER}$'))",
            "Gt and Lt take one number, for instance values: ['0.5']",
            lambda it: (
                it.operator not in (ConditionOperator.GT, ConditionOperator.LT)
                or (len(it.values) == 1 and matches(_NUMBER, "").holds(it.values[0]))
            ),
            field=".values",
        ),
    )

    field: Annotated[str, MaxLen(200)] = ""
    """Where to look: keys and list positions with dots between them, for instance user.country or items.0.price. The
    value itself unless given. Of the request it is the body's JSON, or the query parameters when there is no body."""
    operator: ConditionOperator
    """In, NotIn, Exists, DoesNotExist, Gt (above) or Lt (below). What is not there meets NotIn, DoesNotExist only."""
    values: Annotated[tuple[Annotated[str, MaxLen(200)], ...], MaxLen(64)] = ()
    """Text to compare with; numbers, true, false and null are compared as such: ['1'] is met by 1 and by 1.0."""


class GraphStep(Model):
    """Where the value goes: exactly one of deployment, node and unchanged."""

    RULES: ClassVar = (
        Rule(
            "[has(self.deployment), has(self.node), has(self.unchanged) && self.unchanged].exists_one(it, it)",
            "set exactly one of deployment and node, or unchanged to true",
            lambda it: [it.deployment is not None, it.node is not None, bool(it.unchanged)].count(True) == 1,
        ),
    )

    deployment: GraphDeploymentName | None = None
    """A deployment: an attribute of importPath's module, or an entry of graph.deployments."""
    node: NodeName | None = None
    """Another node of this graph."""
    unchanged: Bool | None = None
    """true: nowhere; the value passes as it is."""


class GraphCase(GraphStep):
    """One branch of a switch."""

    when: Annotated[tuple[GraphCondition, ...], MaxLen(16)] = ()
    """Conditions that must all hold for the branch to be taken. Without any it is always taken: put it last."""


class GraphMember(GraphStep):
    """One branch of an ensemble."""

    name: Annotated[str, MinLen(1), MaxLen(100)]
    """Key of its result."""


class GraphShare(GraphStep):
    """One branch of a splitter."""

    weight: Annotated[Int, Ge(0), Le(1000000)]
    """How often it is chosen, in proportion to the other weights."""


class GraphNode(Model):
    """One step of the graph, or several: exactly one of sequence, switch, ensemble and splitter."""

    RULES: ClassVar = (
        Rule(
            "[has(self.sequence), has(self.switch), has(self.ensemble), has(self.splitter)].exists_one(it, it)",
            "set exactly one of sequence, switch, ensemble and splitter",
            lambda it: sum(kind is not None for kind in (it.sequence, it.switch, it.ensemble, it.splitter)) == 1,
        ),
        Rule(
            "!has(self.switch) || self.switch.all(it, has(it.when) && size(it.when) > 0) || "
            "(self.switch.exists_one(it, !has(it.when) || size(it.when) == 0) && "
            "(!has(self.switch[size(self.switch) - 1].when) || size(self.switch[size(self.switch) - 1].when) == 0))",
            "only the last branch of a switch may have no when: those after it are never taken",
            lambda it: it.switch is None or all(case.when for case in it.switch[:-1]),
            field=".switch",
        ),
        Rule(
            "!has(self.splitter) || self.splitter.exists(it, it.weight > 0)",
            "give at least one branch a weight above 0",
            lambda it: it.splitter is None or any(share.weight > 0 for share in it.splitter),
            field=".splitter",
        ),
    )

    name: NodeName
    """Name of the node."""
    sequence: Annotated[tuple[GraphStep, ...], MinLen(1), MaxLen(16)] | None = None
    """One after the other: each gets what the one before returned."""
    switch: Annotated[tuple[GraphCase, ...], MinLen(1), MaxLen(16)] | None = None
    """The first branch whose conditions hold gets the value. When none does, the request is answered 400."""
    ensemble: Annotated[tuple[GraphMember, ...], MinLen(1), MaxLen(16), ListMap()] | None = None
    """All branches get the value at the same time; the result is an object with what each returned, by name."""
    splitter: Annotated[tuple[GraphShare, ...], MinLen(1), MaxLen(16)] | None = None
    """One branch gets the value, chosen by chance, each as often as its weight says."""

    @property
    def kind(self) -> str:
        """What it does: sequence, switch, ensemble or splitter."""
        return next(kind for kind in ("sequence", "switch", "ensemble", "splitter") if getattr(self, kind) is not None)

    @property
    def steps(self) -> tuple[GraphStep, ...]:
        """Where the value may go from here."""
        found: tuple[GraphStep, ...] = getattr(self, self.kind)
        return found


class GraphDeployment(Model):
    """A deployment of the graph that is not simply an attribute of importPath's module."""

    name: GraphDeploymentName
    """Its name in the graph, in spec.deployments and in the status."""
    import_path: Annotated[
        str,
        MinLen(3),
        MaxLen(256),
        matches(
            imports.ATTRIBUTE,
            "must be module:attribute, for instance vision:Detector",
        ),
    ]
    """Where it is: module:attribute, for instance vision:Detector; a class, a function, a deployment of one of them, or
    a bound one."""
    args: Annotated[dict[str, Any], FreeForm()] = Field(default_factory=dict)
    """Arguments of its constructor by name, for instance {threshold: 0.5}, unless it is bound in the code."""


def _refers_to_nodes_that_are_there(graph: Graph) -> bool:
    names = {node.name for node in graph.nodes}
    return all(step.node is None or step.node in names for node in graph.nodes for step in node.steps)


def _known(kind: str) -> str:
    return f"(!has(n.{kind}) || n.{kind}.all(s, !has(s.node) || self.nodes.exists(m, m.name == s.node)))"


class Graph(Model):
    """How deployments are combined. A deployment called Graph takes the requests and passes them on."""

    RULES: ClassVar = (
        Rule(
            "self.nodes.exists(n, n.name == self.root)",
            "root must be the name of a node",
            lambda it: any(node.name == it.root for node in it.nodes),
            field=".root",
        ),
        Rule(
            "self.nodes.all(n, " + " && ".join(map(_known, ("sequence", "switch", "ensemble", "splitter"))) + ")",
            "a branch leads to a node that is not there: add it to nodes, or correct its name",
            _refers_to_nodes_that_are_there,
            field=".nodes",
        ),
    )

    root: NodeName = "root"
    """The node that gets the request."""
    nodes: Annotated[tuple[GraphNode, ...], MinLen(1), MaxLen(32), ListMap()]
    """Nodes by name. They may refer to each other in any order, but not in a circle."""
    deployments: Annotated[tuple[GraphDeployment, ...], MaxLen(64), ListMap()] = ()
    """Deployments that stand elsewhere than in importPath's module, or take arguments. The others need no entry."""

    def below(self, name: str) -> tuple[str, ...]:
        """Return the deployments that a value may reach from a node, each once, in the order of writing."""
        nodes = {node.name: node for node in self.nodes}
        found: dict[str, None] = {}
        seen: set[str] = set()
        stack = [GraphStep(node=name)]
        while stack:
            step = stack.pop()
            if step.deployment is not None:
                found.setdefault(step.deployment)
            elif step.node in nodes and step.node not in seen:
                seen.add(step.node)
                stack.extend(reversed(nodes[step.node].steps))
        return tuple(found)


class GraphNodeStatus(Model):
    """One node of the graph."""

    name: str
    """The node's name."""
    kind: str = ""
    """sequence, switch, ensemble or splitter."""
    to: tuple[str, ...] = ()
    """Deployments and nodes that the value goes to from here."""
    ready: Int = 0
    """Deployments below it that answer requests."""
    desired: Int = 0
    """Deployments below it."""
    message: str = ""
    """What it waits for."""
